"""scripts/pod as people and tests use it: what a pod is, how it lives and ends."""

import glob
import os
import shutil
import socket
import subprocess
import threading
import unittest

import support
from support import POD, SandboxTestCase, eventually


class Root(SandboxTestCase):
    def test_the_root_is_a_kernel_overlay_whose_upper_is_not_in_its_lower(self):
        self.create("a")
        line = self.mount_line("a", "/")
        self.assertEqual(line["fstype"], "overlay")
        self.assertIn(f"lowerdir={self.rootfs}", line["super"])
        self.assertIn("upperdir=", line["super"])

    def test_the_birth_time_of_the_root_divides_the_image_from_what_the_pod_wrote(self):
        self.create("a")
        self.sh("a", "touch /new; chmod 700 /bin/busybox; mkdir /made; echo x >> /etc/passwd")
        root = f"/proc/{self.record('a')['pid']}/root"

        def times(path, field):
            return float(subprocess.run(["stat", "-c", f"%.9{field}", root + path], capture_output=True, text=True).stdout)

        birth = times("/", "W")
        self.assertGreater(birth, 0)
        self.assertLess(abs(birth - self.record("a")["created"]), 5)
        for path in ("/new", "/made", "/bin/busybox", "/etc/passwd"):
            self.assertGreaterEqual(times(path, "Z"), birth, path)
        for path in ("/etc/group", "/home/ada", "/tmp"):
            self.assertLess(times(path, "Z"), birth, path)

    def test_the_image_is_never_written(self):
        def listing():
            return subprocess.run(["find", self.rootfs, "-printf", "%P %m %C@ %s\n"], capture_output=True, text=True).stdout

        before = listing()
        self.create("a", "--volume", "disk", "--bind", f"{support.scratch()}:/deep/inside")
        self.sh("a", "rm -r /home; echo x > /etc/passwd; touch /bin/new")
        self.pod("terminate", "a")
        self.assertEqual(listing(), before)

    def test_a_link_in_the_image_cannot_lead_a_mount_out_of_the_root(self):
        self.rootfs = support.small_rootfs("rootfs-with-links")
        outside = os.path.join(support.scratch(), "outside")
        for path, target in (("etc/hostname", outside), ("etc/resolv.conf", "../../../run/resolve/stub"), ("mnt", "/srv/x")):
            if not os.path.islink(os.path.join(self.rootfs, path)):
                os.symlink(target, os.path.join(self.rootfs, path))
        self.create("a", "--volume", "emptydir", "--hostname", "linked")
        self.assertFalse(os.path.exists(outside))
        self.assertEqual(self.sh("a", "cat /etc/hostname"), "linked\n")
        self.assertEqual(self.mount_line("a", "/srv/x/my-storage")["fstype"], self.mount_line("a", "/run/resolve/stub")["fstype"])

    def test_the_host_root_works_and_warns(self):
        done = self.pod("create", "a", "--rootfs", "host")
        self.assertIn("warning", done.stderr)
        self.assertEqual(self.mount_line("a", "/")["fstype"], "overlay")

    def test_dev_proc_and_sys_are_a_containers(self):
        self.create("a")
        self.sh("a", "echo x > /dev/null; test -c /dev/full; test -c /dev/ptmx; head -c 4 /dev/urandom > /dev/shm/f")
        self.assertEqual(self.mount_line("a", "/dev/shm")["fstype"], "tmpfs")
        self.assertIn("ro", self.mount_line("a", "/sys")["options"])
        self.assertIn("ro", self.mount_line("a", "/proc/sys")["options"])
        self.assertEqual(self.sh("a", "grep CapEff /proc/self/status").split()[1], "00000000a80425fb")
        self.sh("a", "mount -t tmpfs none /tmp", expect=1)

    def test_the_kubelets_files_show_the_kubelets_file_system(self):
        self.create("a", "--volume", "disk", "--hostname", "gpu-1")
        kubelet = os.stat(support.state_directory()).st_dev
        for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log"):
            line = self.mount_line("a", path)
            self.assertEqual(line["device"], f"{os.major(kubelet)}:{os.minor(kubelet)}", path)
            self.assertIn(f"/kubelet/pods/{self.record('a')['uid']}/", line["root"])
        self.assertNotEqual(self.mount_line("a", "/mnt/my-storage")["device"], f"{os.major(kubelet)}:{os.minor(kubelet)}")
        self.assertEqual(self.sh("a", "hostname; cat /etc/hostname"), "gpu-1\ngpu-1\n")


class Volumes(SandboxTestCase):
    def test_none(self):
        self.create("a", "--volume", "none")
        self.sh("a", "test ! -e /mnt/my-storage")

    def test_disk_is_a_block_device_of_its_own(self):
        self.create("a", "--volume", "disk:64M", "--volume-name", "data-1")
        line = self.mount_line("a", "/mnt/data-1")
        self.assertEqual((line["fstype"], line["root"]), ("ext4", "/"))
        self.assertTrue(line["source"].startswith("/dev/loop"), line)
        self.assertEqual(self.volumes()["data-1"]["size_bytes"], 64 << 20)

    def test_emptydir_on_disk_has_the_kubelets_root(self):
        self.create("a", "--volume", "emptydir", "--pod-uid", "11111111-2222-3333-4444-555555555555")
        line = self.mount_line("a", "/mnt/my-storage")
        wanted = "/pods/11111111-2222-3333-4444-555555555555/volumes/kubernetes.io~empty-dir/my-storage"
        self.assertTrue(line["root"].endswith(wanted), line)
        self.assertEqual(line["device"], self.mount_line("a", "/etc/hosts")["device"])

    def test_emptydir_in_memory_is_a_tmpfs(self):
        self.create("a", "--volume", "emptydir-memory")
        line = self.mount_line("a", "/mnt/my-storage")
        self.assertEqual((line["fstype"], line["root"]), ("tmpfs", "/"))

    def test_node_directory_is_the_nodes_disk_where_nfs_should_be(self):
        self.create("a", "--volume", "node-directory")
        line = self.mount_line("a", "/mnt/my-storage")
        self.assertTrue(line["root"].endswith("/volumes/kubernetes.io~nfs/my-storage"), line)
        self.assertEqual(line["device"], self.mount_line("a", "/etc/hosts")["device"])
        self.sh("a", "echo lost > /mnt/my-storage/file")

    def test_fuse_shows_its_subtype_and_source(self):
        self.create("a", "--volume", "fuse:juicefs")
        line = self.mount_line("a", "/mnt/my-storage")
        self.assertEqual((line["fstype"], line["source"], line["root"]), ("fuse.juicefs", "juicefs:my-storage", "/"))
        self.create("b", "--volume", "fuse", "--volume-source", "mfs#master:9421", "--volume-name", "pool")
        line = self.mount_line("b", "/mnt/pool")
        self.assertEqual((line["fstype"], line["source"]), ("fuse", "mfs\\043master:9421"))  # '#' is escaped

    def test_a_disk_outlives_the_pod_and_the_writable_layer_does_not(self):
        self.create("a", "--volume", "disk")
        self.sh("a", "echo kept > /mnt/my-storage/file; echo lost > /root/file; echo lost > /tmp/file")
        self.pod("terminate", "a")
        self.assertEqual(support.eventually_empty(support.leftovers), [])
        self.create("a", "--volume", "disk")
        self.assertEqual(self.sh("a", "cat /mnt/my-storage/file; ls /root /tmp"), "kept\n/root:\n\n/tmp:\n")

    def test_what_a_pod_wrote_to_its_disk_is_there_even_if_the_pod_is_killed(self):
        self.create("a", "--volume", "disk")
        self.sh("a", "echo kept > /mnt/my-storage/file; sync")
        os.kill(self.record("a")["pid"], 9)
        self.create("b", "--volume", "disk")
        self.assertEqual(self.sh("b", "cat /mnt/my-storage/file"), "kept\n")

    def test_a_disk_is_attached_to_one_pod_at_a_time(self):
        self.create("a", "--volume", "disk")
        done = self.create("b", "--volume", "disk", expect=1)
        self.assertIn("attached to pod a", done.stderr)
        self.assertNotIn("b", self.listed())
        self.pod("volume", "delete", "my-storage", expect=1)
        self.assertEqual(self.volumes()["my-storage"]["attached_to"], "a")
        self.pod("terminate", "a")
        self.create("b", "--volume", "disk")

    def test_everybody_in_the_pod_may_write_to_a_volume(self):
        for kind in ("disk", "emptydir", "emptydir-memory", "node-directory", "fuse:nfs"):
            name = kind.replace(":", "-")
            self.create(name, "--volume", kind, "--volume-name", name, "--user", "1000")
            self.assertEqual(self.sh(name, f"touch /mnt/{name}/f && stat -c %u /mnt/{name}/f"), "1000\n", kind)

    def test_volumes_are_made_listed_and_deleted_by_hand(self):
        self.pod("volume", "create", "spare", "--size", "32M")
        self.assertIn("spare", self.pod("volume", "list").stdout)
        self.pod("volume", "create", "spare", expect=1)
        self.create("a", "--volume", "fuse:x", "--volume-name", "spare", expect=1)
        self.pod("volume", "delete", "spare")
        self.assertEqual(self.volumes(), {})


class Processes(SandboxTestCase):
    def test_exec_passes_exit_codes_on(self):
        self.create("a")
        for code in (0, 1, 7, 255):
            self.sh("a", f"exit {code}", expect=code)
        self.sh("a", "kill -TERM $$", expect=143)
        self.pod("exec", "a", "--", "no-such-command", expect=127)
        self.pod("exec", "a", "--", "/etc/passwd", expect=126)
        self.pod("exec", "none", "--", "true", expect=125)
        self.pod("exec", "a", expect=64)

    def test_exec_passes_input_and_output_on(self):
        self.create("a")
        self.assertEqual(self.pod("exec", "a", "--", "cat", input="through\n").stdout, "through\n")
        self.assertEqual(self.pod("exec", "a", "--", "sh", "-c", "echo e >&2").stderr, "e\n")

    def test_exec_passes_a_termination_signal_on(self):
        self.create("a")
        running = subprocess.Popen(
            [POD, "exec", "a", "--", "sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done"],
            stdout=subprocess.PIPE, text=True, env=support.environment(),
        )  # fmt: skip
        with running:
            self.assertEqual(running.stdout.readline(), "up\n")
            running.terminate()
            self.assertEqual(running.wait(30), 9)

    def test_nothing_of_the_hosts_environment_and_descriptors_is_seen(self):
        with open(os.path.join(support.scratch(), "opened"), "w") as file:
            os.set_inheritable(file.fileno(), True)
            done = subprocess.run(
                [POD, "create", "a", "--rootfs", self.rootfs, "--env", "GREETING=hello", "--", "sh", "-c", "env; exec sleep 99"],
                env=support.environment(NODE_SECRET="hunter2", PYTHONPATH="/nowhere"), close_fds=False,
            )  # fmt: skip
        self.assertEqual(done.returncode, 0)
        wanted = {"PATH", "HOSTNAME", "HOME", "GREETING"}
        first = dict(item.split("=", 1) for item in self.sh("a", "tr '\\0' '\\n' < /proc/1/environ").splitlines())
        self.assertEqual(set(first) - {"PWD", "SHLVL"}, wanted)
        self.assertEqual(first["GREETING"], "hello")
        here = dict(item.split("=", 1) for item in self.sh("a", "env", NODE_SECRET="hunter2").splitlines())
        self.assertEqual(set(here) - {"PWD", "SHLVL"}, wanted)
        for process in ("1", "self"):
            opened = set(self.pod("exec", "a", "--", "ls", f"/proc/{process}/fd").stdout.split())
            self.assertLessEqual(opened, {"0", "1", "2", "3"})  # 3: ls itself, reading the directory
        self.assertNotIn("opened", self.sh("a", "ls -l /proc/1/fd"))

    def test_user_1000_and_exec_as_another_user(self):
        self.create("a", "--user", "1000")
        self.assertEqual(self.sh("a", "id -u; id -g; echo $HOME; grep CapEff /proc/self/status | cut -f 2"),
                         "1000\n1000\n/home/ada\n0000000000000000\n")  # fmt: skip
        self.assertEqual(self.sh("a", "stat -c %u /proc/1"), "1000\n")
        self.assertIn("44", self.sh("a", "id -G").split())
        self.assertEqual(self.sh("a", "id -u; echo $HOME", "--user", "root"), "0\n/root\n")
        self.assertEqual(self.sh("a", "id -u; id -g; echo $HOME", "--user", "4242:7"), "4242\n7\n/\n")
        self.pod("exec", "a", "--user", "nobody-here", "--", "true", expect=125)

    def test_variables_of_one_exec_are_its_own(self):
        self.create("a", "--env", "A=1")
        self.assertEqual(self.sh("a", "echo $A $B", "--env", "A=2", "--env", "B=a=b"), "2 a=b\n")
        self.assertEqual(self.sh("a", "echo $A $B"), "1\n")

    def test_the_pods_init_reaps_orphans(self):
        self.create("a")
        self.sh("a", "for i in 1 2 3 4 5; do (sleep 0.1 &) ; done")
        zombies = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l; ps | grep -c '[s]leep'"
        self.assertTrue(eventually(lambda: self.pod_output("a", zombies) == "0\n0\n"))

    def pod_output(self, name, script):
        return self.run_pod("exec", name, "--", "sh", "-c", script).stdout

    def test_a_command_is_pid_1_and_gets_sigterm(self):
        self.create("a", command=("sh", "-c", "echo I am $$; trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done"))
        self.assertTrue(eventually(lambda: self.pod("logs", "a").stdout == "I am 1\n"))
        os.kill(self.record("a")["pid"], 15)
        self.assertTrue(eventually(lambda: self.listed()["a"]["state"] == "exited"))
        self.assertEqual(self.listed()["a"]["exit_code"], 3)
        self.assertEqual(self.pod("logs", "a").stdout, "I am 1\nbye\n")
        self.pod("exec", "a", "--", "true", expect=125)
        self.pod("terminate", "a")
        self.assertNotIn("a", self.listed())

    def test_with_init_the_command_is_its_child(self):
        self.create("a", "--init", command=("sh", "-c", "echo I am $$; exit 4"))
        self.assertTrue(eventually(lambda: self.listed()["a"]["exit_code"] == 4))
        self.assertNotEqual(self.pod("logs", "a").stdout, "I am 1\n")

    def test_a_command_that_does_not_exist_leaves_no_pod(self):
        self.assertIn("no-such-command", self.create("a", command=("no-such-command",), expect=1).stderr)
        self.assertNotIn("a", self.listed())

    def test_a_pod_that_ignores_sigterm_is_killed_after_the_grace(self):
        self.create("a", command=("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"))
        self.pod("terminate", "a", "--grace", "0.2")
        self.assertEqual(support.eventually_empty(support.leftovers), [])

    def test_enter_is_a_login_shell_on_a_terminal_of_the_pod(self):
        self.create("a", "--user", "ada")
        script = "tty; echo home=$PWD; test -t 0 && test -t 1 && echo terminal; stat -c %u $(tty); exit 5\n"
        done = self.pod("enter", "a", input=script, expect=5, NODE_SECRET="hunter2")
        for wanted in ("/dev/pts/0", "home=/home/ada", "\nterminal", "\n1000"):
            self.assertIn(wanted, done.stdout.replace("\r", ""))
        self.assertIn("/dev/pts/0", self.pod("exec", "a", "-t", "--", "tty").stdout)
        self.assertNotIn("hunter2", self.pod("enter", "a", input="env; exit\n", NODE_SECRET="hunter2").stdout)
        self.pod("enter", "a", input="", expect=0)  # end of input ends the shell

    def test_the_control_plane_on_the_hosts_loopback_is_reachable(self):
        self.create("a")
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer():
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"hello pod\n")

            thread = threading.Thread(target=answer)
            thread.start()
            self.assertEqual(self.sh("a", f"nc 127.0.0.1 {listener.getsockname()[1]} < /dev/null"), "hello pod\n")
            thread.join()


class Bindings(SandboxTestCase):
    def test_binds_are_read_only_when_asked(self):
        source = os.path.join(support.scratch(), "bound")
        os.makedirs(source, exist_ok=True)
        self.create("a", "--bind", f"{source}:/run/secrets/token:ro", "--bind", f"{source}:/work")
        self.sh("a", "echo x > /run/secrets/token/f", expect=1)
        self.sh("a", "echo x > /work/f; cat /run/secrets/token/f")
        self.assertTrue(os.path.exists(os.path.join(source, "f")))

    def test_the_nvml_library_is_bound_read_only_as_the_container_toolkit_does(self):
        directory = os.path.join(support.scratch(), "nvml")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "libnvidia-ml.so.1"), "w") as file:
            file.write("a library\n")
        self.create("a", "--nvml", directory)
        path = f"/usr/lib/{os.uname().machine}-linux-gnu/libnvidia-ml.so.1"
        self.assertEqual(self.sh("a", f"cat {path}"), "a library\n")
        self.sh("a", f"echo x > {path}", expect=1)
        self.pod("create", "b", "--rootfs", self.rootfs, "--nvml", "/nowhere", expect=1)

    def test_a_scenario_replaced_by_rename_is_seen_in_the_pod(self):
        first = os.path.join(support.scratch(), "first")
        with open(first, "w") as file:
            file.write("one\n")
        self.create("a", "--scenario", first)
        self.assertEqual(self.sh("a", "cat /run/nvml-simulator/scenario"), "one\n")
        path = self.pod("scenario", "a").stdout.strip()
        with open(path + ".new", "w") as file:
            file.write("two\n")
        os.rename(path + ".new", path)
        self.assertEqual(self.sh("a", "cat /run/nvml-simulator/scenario"), "two\n")
        with open(first) as file:
            self.assertEqual(file.read(), "one\n")

    def test_a_real_nvml_library_loads_in_a_debian_pod(self):
        built = os.path.join(support.REPOSITORY, ".build", "nvml-simulator")
        library = os.environ.get("PACKET_TEST_NVML", built)
        if not os.path.exists(library):
            self.skipTest(f"{library} is not there: scripts/build-nvml-simulator makes it (or set PACKET_TEST_NVML)")
        rootfs = os.environ.get("PACKET_TEST_ROOTFS", "/var/cache/packet-agent/rootfs")
        if not os.path.isdir(rootfs):
            self.skipTest(f"{rootfs} is not there: scripts/rootfs makes it")
        scenario = os.environ.get("PACKET_TEST_SCENARIO")
        self.pod("create", "a", "--rootfs", rootfs, "--nvml", library, *(["--scenario", scenario] if scenario else []))
        code = "import ctypes; print(ctypes.CDLL('libnvidia-ml.so.1').nvmlInit_v2())"
        self.assertEqual(self.pod("exec", "a", "--", "python3", "-c", code).stdout, "0\n")  # NVML_SUCCESS


class CommandLine(SandboxTestCase):
    def test_wrong_use_is_64(self):
        for arguments in (
            ("create", "../escape"),
            ("create", "UPPER"),
            ("create", "a/b"),
            ("create", "a", "--volume", "tape"),
            ("create", "a", "--volume", "disk:tiny"),
            ("create", "a", "--volume", "fuse:a,b"),
            ("create", "a", "--volume-name", "../x"),
            ("create", "a", "--env", "novalue"),
            ("create", "a", "--bind", "/etc"),
            ("create", "a", "--pod-uid", "../../x"),
            ("nonsense",),
            ("terminate",),
            ("list", "--", "x"),
        ):
            done = self.pod(*arguments, expect=64)
            self.assertIn("scripts/pod: ", done.stderr, arguments)

    def test_without_root_it_says_so(self):
        copy = os.path.join(support.scratch(), "scripts")
        if not os.path.exists(copy):  # where nobody else may enter the checkout
            shutil.copytree(os.path.join(support.REPOSITORY, "scripts"), copy)
            os.chmod(support.scratch(), 0o755)
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", os.path.join(copy, "pod"), "list"]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((done.returncode, "root is needed" in done.stderr), (2, True), done.stderr)

    def test_a_missing_tool_is_named_with_its_package(self):
        tools = os.path.join(support.scratch(), "tools")
        os.makedirs(tools, exist_ok=True)
        for name in ("sh", "dirname", "readlink", "python3", "cc"):
            if not os.path.lexists(os.path.join(tools, name)):
                os.symlink(shutil.which(name), os.path.join(tools, name))
        done = self.create("a", expect=2, PATH=tools)
        self.assertIn("apt-get install e2fsprogs", done.stderr)
        self.assertEqual(glob.glob(os.path.join(support.state_directory(), "pods", "*")), [])

    def test_list_says_what_there_is(self):
        self.create("a", "--volume", "disk", "--hostname", "h")
        found = self.listed()["a"]
        self.assertEqual((found["state"], found["volume"], found["volume_name"], found["hostname"]),
                         ("running", "disk", "my-storage", "h"))  # fmt: skip
        self.assertEqual(found["pid"], self.record("a")["pid"])
        self.assertRegex(self.pod("list").stdout, r"a +running +[0-9]+ +disk +/mnt/my-storage")

    def test_a_name_is_taken_until_the_pod_ends(self):
        self.create("a")
        self.assertIn("exists already", self.create("a", expect=1).stderr)
        self.pod("terminate", "a")
        self.create("a")


if __name__ == "__main__":
    unittest.main()
