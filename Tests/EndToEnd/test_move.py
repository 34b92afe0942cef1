"""`packet-agent move` in pods: what the report names is saved, the next pod has it, and a dead volume can be left."""

import subprocess
import unittest

from support import wait_for
from test_pod import NAME, POD, Pod

VOLUME = f"/mnt/{NAME}"
WORK = r"""
set -e
H=/root/.cache/huggingface/hub/models--acme--tiny; mkdir -p $H/blobs $H/snapshots/1 /root/proj/.git /root/run/checkpoint-5 /root/.ssh
head -c 3000000 /dev/urandom > $H/blobs/aa; ln -s ../../blobs/aa $H/snapshots/1/model.bin
echo ref > /root/proj/.git/HEAD; echo code > /root/proj/main.py; echo w > /root/run/checkpoint-5/weights.bin
echo n > /root/notes.ipynb; echo more >> /root/.bashrc; echo key > /root/.ssh/id_ed25519; echo o > /opt/file
"""


class Move(Pod):
    def groups(self):
        return {group["id"]: group for group in self.document("at-risk")["groups"]}

    def test_every_command_of_the_report_saves_its_group_and_the_next_pod_has_it(self):
        self.create("--volume", "disk:64M", "--volume-name", NAME)
        self.inside("packet-agent", "boot")
        self.assertEqual(self.inside("sh", "-c", WORK).returncode, 0)
        sum = self.inside("sh", "-c", "cat /root/.cache/huggingface/hub/models--acme--tiny/blobs/aa | sha256sum").stdout
        for id, group in self.groups().items():
            if group["kind"] == "secret":
                refused = self.inside("packet-agent", "move", id)
                self.assertEqual(refused.returncode, 1)
                self.assertIn("keys or tokens", refused.stderr)
                continue
            planned = self.inside("sh", "-c", group["fix"]["command"] + " --dry-run")
            self.assertIn("nothing was changed", planned.stdout, planned.stderr)
            done = self.inside("sh", "-c", group["fix"]["command"])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("read back and compared", done.stdout)
            self.assertNotIn("extended attributes", done.stdout, "the overlay's own attributes are not the user's")
            # Once more: it is there already.
            self.assertEqual(self.inside("sh", "-c", group["fix"]["command"]).returncode, 0)
        # The links are no loss; copies still are, because nobody knows that the user wants no more of them.
        self.assertEqual({group["kind"] for group in self.groups().values()}, {"secret", "dotfile", "other"})
        self.assertEqual(self.inside("cat", "/root/proj/main.py", "/root/notes.ipynb").stdout, "code\nn\n")
        report = self.document("move", f"{VOLUME}/code")
        self.assertEqual((report["schema"], report["items"][0]["state"]), ("packet-agent/move/1", "failed"))
        self.terminate()
        self.create("--volume", "disk:64M", "--volume-name", NAME)
        kept = self.inside("sh", "-c", f"cd {VOLUME}; sha256sum < huggingface/hub/models--acme--tiny/snapshots/1/model.bin; "
                           "cat code/proj/main.py checkpoints/run/checkpoint-5/weights.bin saved/root/notes.ipynb saved/opt/file; "
                           "find . -name '.*packet-*'").stdout
        self.assertEqual(kept, sum + "code\nw\nn\no\n")

    def test_a_volume_that_dies_while_it_is_written_to_can_be_left_and_comes_back(self):
        self.configure('[storage]\nvolumes = ["%s"]\n' % VOLUME)
        self.create("--volume", "fuse:juicefs", "--volume-name", NAME)
        self.inside("sh", "-c", "mkdir /root/d; for i in $(seq 20000); do echo $i > /root/d/$i; done; sleep 1.1")
        command = "packet-agent move /root/d >/tmp/out 2>&1; echo $? >/tmp/status"
        self.inside("sh", "-c", f"rm -f /tmp/status; setsid sh -c '{command}' >/dev/null 2>&1 &")
        # What is being copied grows beside its place.
        wait_for(lambda: "packet-move" in self.inside("ls", "-A", f"{VOLUME}/saved/root").stdout, 30, "the copy's start")
        subprocess.run([POD, "fuse", NAME, "hang-unread"], check=True, stdout=subprocess.DEVNULL)
        self.assertIsNone(self.file("/tmp/status"), "the copy was done before the volume died")
        self.inside("sh", "-c", "kill -INT $(pgrep -x packet-agent)")
        # It says so and ends, although its child cannot: a request that the server has read and not answered survives SIGKILL.
        wait_for(lambda: self.file("/tmp/status"), 20, "the end of the command")
        self.assertEqual(self.file("/tmp/status"), "1\n")
        self.assertIn("does not answer", self.file("/tmp/out"))
        self.assertEqual(self.inside("sh", "-c", "ls /root/d | wc -l; ls -A /root").stdout.split()[0], "20000")
        subprocess.run([POD, "fuse", NAME, "resume"], check=True, stdout=subprocess.DEVNULL)
        wait_for(lambda: self.document("storage")["volumes"][0]["state"] == "ready", 30, "recovery")
        done = self.document("move", "/root/d")
        self.assertEqual(done["items"][0]["state"], "moved", done)
        self.assertEqual(self.inside("sh", "-c", "cat /root/d/* | sort -n | tail -1; readlink /root/d").stdout,
                         f"20000\n{VOLUME}/saved/root/d\n")


if __name__ == "__main__":
    unittest.main()
