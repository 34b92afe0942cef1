"""The sandbox when things go wrong: hung FUSE servers, kill -9 of everything, many pods at once."""

import os
import random
import signal
import subprocess
import time
import unittest

import support
from support import POD, SandboxTestCase, eventually


class Hanging(SandboxTestCase):
    def setUp(self):
        super().setUp()
        self.create("a", "--volume", "fuse:nfs")
        self.sh("a", "echo data > /mnt/my-storage/file")

    def looker(self):
        """A process in the pod that looks at the volume, and its PID on this machine once it waits there."""
        process = subprocess.Popen(
            [POD, "exec", "a", "--", "ls", "/mnt/my-storage"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=support.environment(),
        )  # fmt: skip
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)

        def waiting():
            with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
                children = file.read().split()
            for child in children:
                try:
                    with open(f"/proc/{child}/wchan") as file:
                        kernel_function = file.read()
                    with open(f"/proc/{child}/comm") as file:
                        name = file.read().strip()
                except OSError:
                    continue
                if name == "ls" and kernel_function not in ("", "0"):
                    return int(child)
            return None

        child = eventually(waiting)
        self.assertIsNotNone(child, "ls does not hang")
        return process, child

    def test_hang_unread_and_resume(self):
        self.pod("fuse", "a", "hang-unread")
        process, _ = self.looker()
        self.pod("fuse", "a", "resume")
        self.assertEqual(process.communicate(timeout=30)[0], "file\n")

    def test_an_unread_request_can_be_killed(self):
        self.pod("fuse", "a", "hang-unread")
        process, child = self.looker()
        os.kill(child, signal.SIGKILL)
        self.assertEqual(process.wait(30), 137)

    def test_hang_read_and_resume(self):
        self.pod("fuse", "a", "hang-read")
        process, child = self.looker()
        os.kill(child, signal.SIGKILL)
        time.sleep(0.3)
        self.assertIsNone(process.poll(), "a request that was read must hold its process against SIGKILL")
        other, _ = self.looker()
        self.pod("fuse", "a", "resume")
        self.assertEqual(process.wait(30), 137)
        self.assertEqual(other.communicate(timeout=30)[0], "file\n")
        self.assertEqual(self.sh("a", "cat /mnt/my-storage/file"), "data\n")

    def test_kill_gives_enotconn_and_the_data_stays(self):
        process, other = None, None
        self.pod("fuse", "a", "hang-read")
        process, _ = self.looker()
        self.pod("fuse", "a", "kill")
        self.assertNotEqual(process.wait(30), 0)
        other = self.run_pod("exec", "a", "--", "ls", "/mnt/my-storage")
        self.assertIn("not connected", other.stderr)
        self.pod("fuse", "a", "resume", expect=1)
        self.pod("terminate", "a")
        self.create("a", "--volume", "fuse:nfs")
        self.assertEqual(self.sh("a", "cat /mnt/my-storage/file"), "data\n")

    def test_a_hung_pod_can_be_terminated(self):
        for action in ("hang-unread", "hang-read"):
            self.pod("fuse", "a", action)
            process, _ = self.looker()
            self.pod("terminate", "a", "--grace", "5")
            self.assertEqual(process.wait(30), 137)
            self.assertEqual(support.eventually_empty(support.leftovers), [], action)
            self.create("a", "--volume", "fuse:nfs")

    def test_a_hung_pod_whose_shim_is_killed_goes_away(self):
        self.pod("fuse", "a", "hang-read")
        process, _ = self.looker()
        os.kill(self.record("a")["shim"], signal.SIGKILL)
        self.assertIn(process.wait(30), (137, 1))  # killed with its pod, or told by the dying server just before
        self.pod("cleanup")
        self.assertEqual(support.eventually_empty(support.leftovers), [])

    def test_the_volume_is_a_usable_file_system(self):
        self.sh("a", "cd /mnt/my-storage && mkdir -p d/e && printf one > d/f && printf two >> d/f && mv d/f d/e/g"
                " && ln -s e/g d/link && cat d/link && ln d/e/g hard && chmod 750 hard && test -x d/e/g"
                " && truncate -s 2 hard && cat hard && rm -r d && test ! -e d && printf '#!/bin/sh\\nexit 6\\n' > run"
                " && chmod +x run && dd if=/dev/zero of=big bs=64k count=40 2>/dev/null && sync"
                " && test $(stat -c %s big) = 2621440 && df /mnt/my-storage > /dev/null")  # fmt: skip
        self.sh("a", "/mnt/my-storage/run", expect=6)
        self.sh("a", "touch /mnt/my-storage/big", "--user", "1000", expect=1)


class Killing(SandboxTestCase):
    KINDS = ("disk", "emptydir", "fuse:nfs", "none")

    def nothing_is_left(self, message=""):
        self.pod("cleanup")
        self.assertEqual(support.eventually_empty(support.leftovers), [], message)
        self.assertEqual(self.listed(), {}, message)
        for directory in ("pods", "kubelet/pods"):
            self.assertEqual(os.listdir(os.path.join(support.state_directory(), directory)), [], message)

    def test_pid_1_killed(self):
        for kind in self.KINDS:
            self.create("a", "--volume", kind, "--volume-name", kind.replace(":", "-"))
            os.kill(self.record("a")["pid"], signal.SIGKILL)
            self.assertTrue(eventually(lambda: self.listed()["a"]["exit_code"] == 137))
            self.nothing_is_left(kind)

    def test_the_shim_killed(self):
        for kind in self.KINDS:
            self.create("a", "--volume", kind, "--volume-name", kind.replace(":", "-"))
            os.kill(self.record("a")["shim"], signal.SIGKILL)
            self.nothing_is_left(kind)

    def test_everything_killed_at_once(self):
        self.create("a", "--volume", "fuse:nfs")
        record = self.record("a")
        for pid in (record["fuse_server"][0], record["shim"], record["pid"]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.nothing_is_left()

    def test_creation_killed_at_any_moment(self):
        seed = int(os.environ.get("PACKET_TEST_SEED") or time.time())
        chance = random.Random(seed)
        self.create("warm", "--volume", "fuse:nfs", "--volume-name", "fuse-nfs")  # compiles the helpers
        started = time.monotonic()
        self.create("timed", "--volume", "disk", "--volume-name", "timed")
        usual = time.monotonic() - started
        self.pod("cleanup", "--all")
        killed_early = 0
        for turn in range(24):
            kind = self.KINDS[turn % len(self.KINDS)]
            process = subprocess.Popen(
                [POD, "create", "a", "--rootfs", self.rootfs, "--volume", kind, "--volume-name", kind.replace(":", "-")],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=support.environment(),
            )  # fmt: skip
            time.sleep(chance.random() * usual)
            process.kill()
            killed_early += process.wait() != 0
            where = f"seed {seed}, turn {turn}, {kind}"
            if self.listed().get("a", {}).get("state") == "running":
                self.pod("terminate", "a")
            self.nothing_is_left(where)
            self.create("a", "--volume", kind, "--volume-name", kind.replace(":", "-"))
            self.assertEqual(self.sh("a", "echo alive"), "alive\n", where)
            self.pod("terminate", "a")
        self.assertGreater(killed_early, 0)

    def test_name_and_disk_of_a_killed_creation_are_free_at_once(self):
        for turn in range(6):
            process = subprocess.Popen(
                [POD, "create", "a", "--rootfs", self.rootfs, "--volume", "disk"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=support.environment(),
            )  # fmt: skip
            time.sleep(0.05 * turn)
            process.kill()
            killed = process.wait() != 0
            if killed and self.listed().get("a", {}).get("state") != "running":
                self.create("a", "--volume", "disk")
            os.kill(self.record("a")["pid"], signal.SIGKILL)
            self.create("a", "--volume", "disk")  # while the killed one is still ending
            self.pod("terminate", "a")

    def test_the_next_command_clears_what_a_killed_creation_left(self):
        directory = os.path.join(support.state_directory(), "pods", "half")
        self.pod("cleanup")
        os.makedirs(directory)
        with open(os.path.join(directory, "lock"), "w"):
            pass
        self.create("a")
        self.assertEqual(set(self.listed()), {"a"})

    def test_termination_killed_is_repeated(self):
        self.create("a", command=("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"))
        process = subprocess.Popen([POD, "terminate", "a"], env=support.environment())
        time.sleep(0.5)
        process.kill()
        process.wait()
        self.pod("terminate", "a", "--grace", "0")
        self.nothing_is_left()


class Together(SandboxTestCase):
    def at_once(self, commands):
        processes = [
            subprocess.Popen(
                [POD, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=support.environment()
            )
            for command in commands
        ]
        return [(process.communicate(timeout=120)[0], process.returncode) for process in processes]

    def test_pods_made_at_once_do_not_disturb_each_other(self):
        names = [f"p{number}" for number in range(6)]
        kinds = ("disk", "fuse:nfs", "emptydir")
        done = self.at_once(
            [("create", name, "--rootfs", self.rootfs, "--volume", kinds[index % 3], "--volume-name", name)
             for index, name in enumerate(names)]
        )  # fmt: skip
        self.assertEqual([code for _, code in done], [0] * len(names), done)
        for name in names:
            self.sh(name, f"echo {name} > /mnt/{name}/who; echo {name} > /who")
        for name in names:
            self.assertEqual(self.sh(name, f"cat /mnt/{name}/who /who; hostname"), f"{name}\n" * 3)
        done = self.at_once([("terminate", name) for name in names])
        self.assertEqual([code for _, code in done], [0] * len(names), done)
        self.assertEqual(support.eventually_empty(support.leftovers), [])

    def test_of_two_with_one_name_one_wins(self):
        done = self.at_once([("create", "a", "--rootfs", self.rootfs)] * 3)
        self.assertEqual(sorted(code for _, code in done), [0, 1, 1], done)
        self.sh("a", "true")

    def test_of_two_with_one_disk_one_wins(self):
        done = self.at_once([("create", name, "--rootfs", self.rootfs, "--volume", "disk") for name in ("a", "b", "c")])
        self.assertEqual(sorted(code for _, code in done), [0, 1, 1], done)
        self.assertEqual(len(self.listed()), 1)


if __name__ == "__main__":
    unittest.main()
