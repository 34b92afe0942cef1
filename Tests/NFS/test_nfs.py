"""The storage scenario on a real kernel NFS server and a hard mount, in the machine of scripts/nfs-vm."""

import json
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PACKET_AGENT_BIN", ROOT / ".build-release" / "bin")).resolve()
COMMANDS = ["storage", "path", "doctor", "env", "status", "at-risk"]


class NFS(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        machine = subprocess.run(
            [str(ROOT / "scripts" / "nfs-vm"), "--timeout", "400", "--file", f"{BIN / 'packet-agent'}:/bin/packet-agent",
             str(ROOT / "Tests" / "NFS" / "payload")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        cls.answers = {}
        pattern = r"^@@ (\S+) (\d+) ([\d.]+) ([\d.]+)\n(.*?)\n@@ end$"
        for name, status, start, end, text in re.findall(pattern, machine.stdout, re.M | re.S):
            cls.answers[name] = (int(status), float(end) - float(start), text)
        if os.environ.get("PACKET_NFS_LOG"):
            pathlib.Path(os.environ["PACKET_NFS_LOG"]).write_text(machine.stdout)
        if machine.returncode != 0:
            raise AssertionError(f"the machine ended with {machine.returncode}:\n{machine.stdout[-4000:]}")

    def document(self, name):
        self.assertIn(name, self.answers)
        return json.loads(self.answers[name][2])

    def volume(self, name):
        return self.document(name)["volumes"][0]

    def check(self, name, id):
        return {check["id"]: check for check in self.document(name)["checks"]}[id]

    def test_a_volume_that_was_never_mounted(self):
        self.assertEqual(self.volume("never-mounted.storage")["state"], "missing")
        self.assertEqual(self.check("never-mounted.doctor", "storage.volume")["status"], "fail")

    def test_a_mounted_volume_is_ready_and_passes(self):
        volume = self.volume("mounted.storage")
        self.assertEqual((volume["state"], volume["fstype"]), ("ready", "nfs4"))
        self.assertGreater(volume["size_bytes"], 0)
        path = self.document("mounted.path")["paths"][0]
        self.assertEqual((path["lifetime"], path["exists"]), ("volume", False))
        for subject in ["root", "locks", "identity", "lease", "exec", "answers", "writable"]:
            found = self.check("mounted.volume", f"storage.volume-{subject}")
            self.assertEqual(found["status"], "pass", found)

    def test_a_read_only_mount(self):
        self.assertEqual(self.volume("read-only.storage")["state"], "read_only")
        self.assertEqual(self.check("read-only.doctor", "storage.volume-writable")["status"], "fail")

    def test_root_squash(self):
        found = self.check("root-squash.doctor", "storage.volume-root")
        self.assertEqual(found["status"], "warn", found)
        self.assertIn("65534", found["evidence"])

    def test_a_move_to_a_server_that_maps_root_to_nobody(self):
        item = self.document("root-squash.move")["items"][0]
        self.assertEqual(item["state"], "moved", item)
        self.assertIn("root_squash", json.dumps(item), "the owner that could not be kept is told")
        self.assertEqual(self.answers["root-squash.moved"][2], "mine\n65534 640\n/mnt/data/saved/root/squashed\n")

    def test_a_server_that_gets_full_during_a_move_loses_nothing_and_the_move_goes_on(self):
        self.assertEqual(self.answers["full.move"][0], 1)
        item = self.document("full.move")["items"][0]
        self.assertEqual(item["state"], "failed", item)
        self.assertIn("the volume is full; make room and run the command again", json.dumps(item))
        self.assertEqual(self.answers["full.source"][2].split("\n")[:2], ["same", "kept"])
        self.assertEqual(self.document("full.again")["items"][0]["state"], "moved")
        self.assertEqual(self.answers["full.moved"][2].rstrip(), "same\n/mnt/data/saved/root/big")

    def test_a_stale_handle(self):
        volume = self.volume("stale.storage")
        self.assertEqual(volume["state"], "stuck", volume)
        self.assertIn("Stale file handle", json.dumps(self.document("stale.doctor")))

    def test_a_cut_link_is_stuck_whether_attributes_are_cached_or_not(self):
        for state in ["link-cut-warm", "link-cut-cold"]:
            self.assertEqual(self.volume(f"{state}.storage")["state"], "stuck")
            self.assertEqual(self.check(f"{state}.doctor", "storage.volume-answers")["status"], "fail")
            path = self.document(f"{state}.path")["paths"][0]
            self.assertEqual((path["lifetime"], path["exists"]), ("volume", None))

    def test_every_command_answers_within_two_seconds(self):
        for state in ["stale", "link-cut-warm", "link-cut-cold"]:
            for command in COMMANDS:
                # The machine is emulated and many times slower than a real one: what the same command takes there with
                # a healthy volume is not the volume's fault.
                healthy = self.answers[f"mounted.{command}"][1]
                self.assertLess(self.answers[f"{state}.{command}"][1] - healthy, 2, f"{state} {command}")

    def test_at_most_one_probe_waits(self):
        self.assertLessEqual(int(self.answers["probes.left"][2]), 1)

    def test_recovery_is_noticed(self):
        for state in ["link-back", "link-back-cold", "server-back"]:
            self.assertEqual(self.volume(f"{state}.storage")["state"], "ready", state)

    def test_a_stopped_server(self):
        self.assertEqual(self.volume("server-stopped.storage")["state"], "stuck")


if __name__ == "__main__":
    unittest.main(verbosity=2)
