"""Installation, upgrade, removal and purge in roots of Debian releases, as image builds do them: chroot, no systemd."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

from support import AGENT_DEB, CONTROL_DEB, NVML, WithChroot, run

AGENT = f"/tmp/{AGENT_DEB.name}"
CONTROL = f"/tmp/{CONTROL_DEB.name}"
STATE = "/var/lib/packet-agent"
WANTS = "/etc/systemd/system/multi-user.target.wants/packet-agent.service"
# Of dpkg's own state nothing is compared.
OURS = ("etc", "root", "usr", "opt", "home", "run", "var/lib/packet-agent", "var/lib/systemd")


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come true within {seconds} s")


def picture(root):
    """Every file's kind, mode, owner and content."""
    found = {}
    for top in OURS:
        for path in sorted((root / top).rglob("*")):
            # What ldconfig and dpkg remember.
            if path.name in ("ld.so.cache", ".pwd.lock") or "/etc/alternatives" in str(path):
                continue
            info = path.lstat()
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(root))] = (info.st_mode, info.st_uid, info.st_gid, content)
    return found


class Package(WithChroot):
    def install(self):
        # zlib1g and the C library are in every root; the rest of an image build is apt's.
        self.chroot.dpkg("--install", AGENT)

    def config(self, text):
        self.chroot.path("/etc/packet-agent/config.toml").write_text(text)

    def volume(self):
        mount = self.chroot.path("/mnt/my-storage")
        mount.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", mount)
        (mount / "precious").write_text("kept")
        self.config('[storage]\nvolumes = ["/mnt/my-storage"]\n'
                    'rules = ["/mnt/my-storage tmpfs volume stands for the site\'s NFS"]\n')
        return mount

    def repacked(self, version, change=lambda directory: None):
        """The same package under a later version."""
        directory = pathlib.Path(tempfile.mkdtemp(dir=self.chroot.path("/tmp")))
        run("dpkg-deb", "-R", AGENT_DEB, directory / "tree")
        control = directory / "tree/DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*", f"Version: {version}", control.read_text(), flags=re.M))
        change(directory / "tree")
        run("dpkg-deb", "--root-owner-group", "-Znone", "-b", directory / "tree", directory / "later.deb")
        return "/tmp/" + directory.name + "/later.deb"


class Bookworm(Package):
    def test_an_image_build_gets_everything_and_starts_nothing(self):
        self.install()
        self.assertEqual(self.chroot.processes(), [])
        self.assertEqual(self.chroot("dpkg", "--audit").stdout, "")
        self.assertIn("no mistakes", self.chroot("packet-agent", "config", "check").stdout)
        shipped = self.chroot.path("/etc/packet-agent/config.toml").read_text()
        keys = re.findall(r"^(\w+) = ", self.chroot("packet-agent", "config", "--file", "/dev/null").stdout, re.M)
        self.assertEqual(re.findall(r"^#(\w+) = ", shipped, re.M), keys)
        # Enabled for images that boot with systemd.
        self.assertTrue(self.chroot.path(WANTS).is_symlink())
        for state in ("/run/packet-agent", STATE):
            self.assertFalse(self.chroot.path(state).exists(), state)

    def test_every_default_of_the_configuration_file_is_one_that_the_agent_takes(self):
        self.install()
        shipped = self.chroot.path("/etc/packet-agent/config.toml").read_text()
        self.config(re.sub(r"^#(\w+ = )", r"\1", shipped, flags=re.M))
        self.assertIn("no mistakes", self.chroot("packet-agent", "config", "check").stdout)
        shown = self.chroot("packet-agent", "config").stdout
        plain = self.chroot("packet-agent", "config", "--file", "/dev/null").stdout
        values = lambda text: re.findall(r"^(\w+ = .*?)  # ", text, re.M)
        self.assertEqual(values(shown), values(plain))

    def test_an_upgrade_keeps_the_configuration_the_environment_and_a_disabled_unit(self):
        self.install()
        self.volume()
        self.chroot("packet-agent", "env", "apply")
        written = self.chroot.path("/etc/profile.d")
        before = {p.name: p.read_bytes() for p in written.iterdir()}
        self.assertTrue(any(b"packet-agent" in text for text in before.values()))
        mine = self.chroot.path("/etc/packet-agent/config.toml").read_text()
        self.chroot.path(WANTS).unlink()
        self.chroot.dpkg("--install", self.repacked("9.0-1"))
        self.assertEqual(self.chroot.path("/etc/packet-agent/config.toml").read_text(), mine)
        self.assertEqual({p.name: p.read_bytes() for p in written.iterdir()}, before)
        self.assertFalse(self.chroot.path(WANTS).is_symlink())
        self.assertEqual(self.chroot.processes(), [])

    def test_removal_takes_back_what_was_written_for_sessions(self):
        self.chroot.path("/root/.bashrc").write_text("alias ll='ls -l'\n")
        self.install()
        mount = self.volume()
        before = picture(self.chroot.root)
        self.chroot("packet-agent", "env", "apply")
        changed = {p for p, value in picture(self.chroot.root).items() if before.get(p) != value}
        self.assertTrue([p for p in changed if p.startswith("etc/")], "env apply wrote nothing")
        removed = self.chroot.dpkg("--remove", "packet-agent")
        self.assertNotIn("could not be taken back", removed.stderr)
        after = picture(self.chroot.root)
        left = {p for p, value in after.items() if before.get(p) != value}
        # The state waits for a purge; systemd's links were made by the package itself.
        self.assertEqual([p for p in left if not re.match(r"var/lib/(packet-agent|systemd)|run/packet-agent|etc/systemd", p)], [])
        self.assertFalse(self.chroot.path("/usr/bin/packet-agent").exists())
        self.assertEqual((mount / "precious").read_text(), "kept")

    def test_purge_leaves_a_root_as_it_was_before_the_installation(self):
        before = picture(self.chroot.root)
        self.install()
        mount = self.volume()
        self.chroot("packet-agent", "boot", check=False)
        self.assertTrue(self.chroot.path(STATE).exists())
        names = sorted(p.name for p in mount.iterdir())
        done = self.chroot.dpkg("--purge", "packet-agent")
        # Debian 11's dpkg remarks on its own directory for units.
        self.assertEqual(re.sub("dpkg: warning: .*not empty so not removed\n", "", done.stderr), "")
        after = picture(self.chroot.root)
        self.assertEqual({p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}, set())
        self.assertEqual(sorted(p.name for p in mount.iterdir()), names)
        self.assertEqual((mount / "precious").read_text(), "kept")

    def test_purge_goes_through_no_mount_and_no_link(self):
        self.install()
        volume = self.volume()
        mounted = self.chroot.path(STATE)
        mounted.mkdir(mode=0o700)
        run("mount", "--bind", volume, mounted)
        self.chroot.path("/run/packet-agent").symlink_to("/mnt/my-storage")
        done = self.chroot.dpkg("--purge", "packet-agent")
        self.assertIn("is kept: something is mounted there", done.stderr)
        self.assertEqual((volume / "precious").read_text(), "kept")

    def test_purge_goes_around_a_mount_deeper_inside(self):
        self.install()
        volume = self.volume()
        deeper = self.chroot.path(STATE + "/spool/deeper")
        deeper.mkdir(parents=True)
        run("mount", "--bind", volume, deeper)
        self.assertIn("something is mounted there", self.chroot.dpkg("--purge", "packet-agent").stderr)
        self.assertEqual((volume / "precious").read_text(), "kept")

    def test_where_systemd_runs_the_service_is_started_and_stopped_unless_policy_forbids(self):
        calls = self.chroot.path("/calls")
        stand_in = self.chroot.path("/usr/bin/systemctl")
        stand_in.write_text('#!/bin/sh\necho "$*" >>/calls\ncase $* in *is-enabled*) echo enabled;; esac\n')
        stand_in.chmod(0o755)
        self.chroot.path("/run/systemd/system").mkdir(parents=True)

        def asked(action):
            text = calls.read_text() if calls.exists() else ""
            calls.unlink(missing_ok=True)
            return re.search(rf"\b{action}\b.*packet-agent\.service", text) is not None

        self.install()
        self.assertTrue(asked("start"))
        self.chroot.dpkg("--install", self.repacked("9.0-1"))
        self.assertTrue(asked("restart"))
        self.chroot.dpkg("--remove", "packet-agent")
        self.assertTrue(asked("stop"))
        policy = self.chroot.path("/usr/sbin/policy-rc.d")
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        self.install()
        self.assertFalse(asked("start"))


class Trixie(Bookworm):
    suite = "trixie"


class Bullseye(Bookworm):
    suite = "bullseye"


class Records(Package):
    """Purge and the usage records of a real agent, with a simulated GPU and a real control plane."""

    def setUp(self):
        super().setUp()
        self.install()
        root = self.chroot.root
        shutil.copy(NVML, root / "tmp/libnvidia-ml.so.1")
        (root / "tmp/scenario").write_text("gpu.count = 1\ngpu.0.uuid = GPU-e0000000-0000-4000-8000-000000000001\n")
        self.children = []
        self.addCleanup(self.end)

    def end(self):
        for child in self.children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def start(self, *command):
        log = self.chroot.path("/tmp/log").open("ab")
        self.addCleanup(log.close)
        child = subprocess.Popen(
            ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "NVML_SIMULATOR_SCENARIO=/tmp/scenario", "chroot",
             self.chroot.root, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=log, start_new_session=True)
        self.children.append(child)
        return child

    def agent(self, plane=""):
        self.config(f"{plane}\n[gpu]\nlibrary = \"/tmp/libnvidia-ml.so.1\"\nsample_interval_ms = 250\n"
                    "[environment]\nenabled = false\n[setup]\nenabled = false\n"
                    "[metering]\ninterval_s = 1\ncheckpoint_s = 1\n")
        return self.start("packet-agent", "run")

    def usage(self):
        done = self.chroot("packet-agent", "usage", "--json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def observed(self):
        return any(sums.get("observed_ms", 0) > 0 for sums in self.usage().get("gpus", {}).values())

    def stop(self, child, sign=signal.SIGTERM):
        os.killpg(child.pid, sign)
        child.wait(30)

    def purge(self):
        return self.chroot.dpkg("--purge", "packet-agent")

    def spool(self):
        return sorted(p.name for p in self.chroot.path(STATE + "/spool").glob("*"))

    def log(self):
        return self.chroot.path("/tmp/log").read_text()

    def with_control_plane(self, interval=1):
        """A control plane that asks for intervals of so many seconds, and an agent of one of its subscriptions."""
        self.chroot("dpkg", "--force-depends", "--install", CONTROL)
        # Its one library beyond the C library's; a bare root does not have it.
        library = next(pathlib.Path("/usr/lib").glob("*/libsqlite3.so.0"))
        shutil.copy(library.resolve(), self.chroot.path("/usr/lib/libsqlite3.so.0"))
        self.chroot("ldconfig")
        self.chroot("packet-control", "token", "create", "--tokens", "/tmp/tokens", "--team", "t", "--out", "/tmp/token")
        self.start("packet-control", "serve", "--database", "/tmp/db", "--tokens", "/tmp/tokens", "--listen",
                   "127.0.0.1:0", "--port-file", "/tmp/port", "--interval-ms", str(interval * 1000))
        port = self.chroot.path("/tmp/port")
        wait_for(lambda: port.exists() and port.read_text().strip(), 30, "the control plane's port")
        url = f"http://127.0.0.1:{port.read_text().strip()}"
        request = urllib.request.Request(
            url + "/v1/subscriptions", method="POST",
            data=json.dumps({"displayName": "t", "poolId": "p", "vgpus": 1, "imageUuid": "i"}).encode(),
            headers={"Authorization": "Bearer " + self.chroot.path("/tmp/token").read_text().strip(),
                     "Content-Type": "application/json"})
        subscription = json.load(urllib.request.urlopen(request, timeout=20))
        token = self.chroot.path("/etc/pod-token")
        token.touch(0o600)
        token.write_text(subscription["podToken"])
        return self.agent(f'[control_plane]\nurl = "{url}"\npod_uid = "{subscription["podUid"]}"\n'
                          'token_file = "/etc/pod-token"\n')

    def test_records_that_nobody_acknowledged_are_kept_and_said(self):
        child = self.agent()
        wait_for(self.observed, 30, "a record")
        self.stop(child)
        before = self.spool()
        self.assertTrue(before, self.log())
        done = self.purge()
        self.assertIn("spool is kept", done.stderr)
        self.assertEqual(self.spool(), before)
        self.assertFalse(self.chroot.path("/run/packet-agent").exists())
        self.assertEqual({p.name for p in self.chroot.path(STATE).iterdir()} - {"lock"}, {"spool"})

    def test_records_that_are_all_acknowledged_go(self):
        child = self.with_control_plane()
        wait_for(self.observed, 30, "a record")
        # The stop delivers what is left.
        self.stop(child)
        self.assertTrue(self.spool(), self.log())
        done = self.purge()
        self.assertNotIn("spool is kept", done.stderr, self.log())
        self.assertFalse(self.chroot.path(STATE).exists())

    def test_after_a_kill_the_open_interval_is_kept(self):
        child = self.with_control_plane(interval=600)

        def measured():
            segments = sorted(self.chroot.path(STATE + "/spool").glob("*.segment"))
            states = re.findall(rb'"open":\{.*?\}', segments[-1].read_bytes()) if segments else []
            return states and re.search(rb'"n":[1-9]', states[-1])

        wait_for(measured, 30, "a checkpoint of an open interval")
        self.stop(child, signal.SIGKILL)
        self.assertIn("spool is kept", self.purge().stderr)

    def test_what_is_damaged_or_of_a_later_version_is_kept(self):
        child = self.with_control_plane()
        wait_for(self.observed, 30, "a record")
        self.stop(child)
        whole = self.chroot.path(STATE)
        kept = self.chroot.path("/tmp/kept")
        shutil.copytree(whole, kept)

        def cut(path, data): path.write_bytes(data[:-5])
        def version(path, data): path.write_bytes(data[:8] + b"\2" + data[9:])
        def garbage(path, data): path.write_bytes(data[:16] + b"XX" + data[18:])
        def quarantine(path, data): (path.parent / "rejected.quarantine").write_bytes(b"x")

        for harm in (cut, version, garbage, quarantine):
            with self.subTest(harm.__name__):
                shutil.rmtree(whole, ignore_errors=True)
                shutil.copytree(kept, whole)
                segment = sorted((whole / "spool").glob("*.segment"))[-1]
                harm(segment, segment.read_bytes())
                self.assertIn("spool is kept", self.purge().stderr)
                self.install()

    def test_an_agent_at_work_keeps_its_spool(self):
        child = self.with_control_plane()
        wait_for(self.observed, 30, "a record")
        done = self.purge()
        self.assertIn("spool is kept", done.stderr)
        self.assertIn("runs on until the container ends", done.stderr)
        self.stop(child)


if __name__ == "__main__":
    unittest.main()
