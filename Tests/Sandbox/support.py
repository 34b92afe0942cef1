"""What the sandbox's tests share: a small root file system, the command, and the search for leftovers."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
POD = os.path.join(REPOSITORY, "scripts", "pod")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n"
GROUP = "root:x:0:\nada:x:1000:\nvideo:x:44:ada\n"

_scratch = None


def scratch():
    """A directory on a real file system, not in memory: what a node's kubelet directory is on."""
    global _scratch
    if _scratch is None:
        _scratch = tempfile.mkdtemp(prefix="packet-pods-test-", dir="/var/tmp")
    return _scratch


def state_directory():
    return os.path.join(scratch(), "state")


def small_rootfs(name="rootfs"):
    """busybox and an /etc: enough for a pod, made in milliseconds."""
    root = os.path.join(scratch(), name)
    if not os.path.exists(root):
        for path in ("bin", "etc", "root", "home/ada", "tmp", "usr/bin", "run"):
            os.makedirs(os.path.join(root, path))
        os.chmod(os.path.join(root, "tmp"), 0o1777)
        os.chown(os.path.join(root, "home/ada"), 1000, 1000)
        busybox = shutil.which("busybox")
        if busybox is None:
            raise RuntimeError("busybox is missing: apt-get install busybox-static")
        shutil.copy(busybox, os.path.join(root, "bin/busybox"))
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                os.symlink("busybox", os.path.join(root, "bin", applet))
        for path, text in (("etc/passwd", PASSWD), ("etc/group", GROUP)):
            with open(os.path.join(root, path), "w") as file:
                file.write(text)
    return root


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.02)


def environment(**extra):
    return {**os.environ, "PACKET_PODS_DIR": state_directory(), **extra}


def leftovers():
    """Everything on this machine that still names the tests' state directory: mounts, processes, loop devices."""
    wanted, found = state_directory().encode(), []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        for source in ("mountinfo", "environ", "cmdline"):
            try:
                with open(f"/proc/{name}/{source}", "rb") as file:
                    if wanted in file.read():
                        found.append(f"process {name} ({source})")
            except OSError:
                continue
    for name in os.listdir("/sys/block"):
        try:
            with open(f"/sys/block/{name}/loop/backing_file", "rb") as file:
                backing = file.read()
        except OSError:
            continue
        if wanted in backing:
            found.append(f"{name}: {os.fsdecode(backing).strip()}")
    with open("/proc/self/mountinfo", "rb") as file:
        found += [f"mount {os.fsdecode(line)}" for line in file if wanted in line]
    return found


class SandboxTestCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.rootfs = small_rootfs()
        self.addCleanup(self.remove_everything)

    def remove_everything(self):
        self.pod("cleanup", "--all")
        self.assertEqual(eventually_empty(leftovers), [], "left on the machine after cleanup --all")
        for name in self.volumes():
            self.pod("volume", "delete", name)

    def volumes(self):
        answer = json.loads(self.pod("volume", "list", "--json").stdout)
        return {volume["name"]: volume for volume in answer["volumes"]}

    def run_pod(self, *arguments, input=None, timeout=60, **variables):
        return subprocess.run(
            [POD, *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment(**variables),
        )

    def pod(self, *arguments, expect=0, **options):
        done = self.run_pod(*arguments, **options)
        self.assertEqual(done.returncode, expect, f"pod {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def create(self, name, *options, command=(), **more):
        tail = ("--", *command) if command else ()
        return self.pod("create", name, "--rootfs", self.rootfs, *options, *tail, **more)

    def sh(self, name, script, *options, expect=0, **more):
        return self.pod("exec", name, *options, "--", "sh", "-c", script, expect=expect, **more).stdout

    def record(self, name):
        with open(os.path.join(state_directory(), "pods", name, "pod.json")) as file:
            return json.load(file)

    def listed(self):
        return {pod["name"]: pod for pod in json.loads(self.pod("list", "--json").stdout)["pods"]}

    def mount_line(self, name, mount_point):
        """The last line of the pod's mountinfo for a mount point, as a dictionary."""
        rows = [line.split(" ") for line in self.sh(name, "cat /proc/self/mountinfo").splitlines()]
        row = [row for row in rows if row[4] == mount_point][-1]
        separator = row.index("-", 6)
        return {
            "device": row[2],
            "root": row[3],
            "options": row[5].split(","),
            "fstype": row[separator + 1],
            "source": row[separator + 2],
            "super": row[separator + 3],
        }


def eventually_empty(function, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        answer = function()
        if not answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)
