"""The service under a real systemd as PID 1, with a real journald: scripts/test-systemd."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PACKET_AGENT_BIN", ROOT / ".build-release" / "bin")).resolve()
NVML = ROOT / ".build" / "nvml-simulator" / "libnvidia-ml.so.1"
ROOTFS = os.environ["PACKET_SYSTEMD_ROOTFS"]
UNIT = "packet-agent.service"


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come true within {seconds} s")


class Service(unittest.TestCase):
    """One boot for all tests; each starts the service anew."""

    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="packet-systemd."))
        cls.boot = subprocess.Popen(
            [str(ROOT / "Tests/Systemd/boot.sh"), str(cls.directory), ROOTFS, str(BIN / "packet-agent"),
             str(ROOT / "systemd" / UNIT), str(NVML)], stdin=subprocess.DEVNULL)
        cls.addClassCleanup(cls.end)
        cls.manager = wait_for(cls.find_manager, 20, "systemd as PID 1")
        # `running`: every unit of the root came up.
        wait_for(lambda: cls.inside("systemctl", "is-system-running").stdout.strip() == "running", 60, "the boot")
        # The unit as it is shipped, only less patient.
        drop_in = "[Service]\\nWatchdogSec=3\\n"
        cls.inside(
            "sh", "-c", f"mkdir /etc/systemd/system/{UNIT}.d; printf '{drop_in}' >/etc/systemd/system/{UNIT}.d/test.conf;"
            "systemctl daemon-reload", check=True)

    @classmethod
    def end(cls):
        if cls.manager:
            os.kill(cls.manager, signal.SIGKILL)
        try:
            cls.boot.wait(20)
        finally:
            cls.boot.kill()
            shutil.rmtree(cls.directory, ignore_errors=True)

    manager = None

    @classmethod
    def find_manager(cls):
        if cls.boot.poll() is not None:
            raise AssertionError(f"boot.sh ended with {cls.boot.returncode}")
        for line in subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout.splitlines():
            pid, _ = map(int, line.split())
            try:
                named = pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                root = os.path.samefile(f"/proc/{pid}/root/usr/bin/packet-agent", BIN / "packet-agent")
            except OSError:
                continue
            numbers = next(l for l in status.splitlines() if l.startswith("NSpid:")).split()[1:]
            if named and root and len(numbers) > 1 and numbers[-1] == "1":
                return pid
        return None

    @classmethod
    def inside(cls, *command, check=False):
        return subprocess.run(
            ["nsenter", "--target", str(cls.manager), "--all", *command], stdin=subprocess.DEVNULL, check=check,
            capture_output=True, text=True, timeout=60)

    def properties(self, *names):
        text = self.inside("systemctl", "show", UNIT, "--property", ",".join(names), check=True).stdout
        return dict(line.split("=", 1) for line in text.splitlines())

    def journal(self, *arguments):
        text = self.inside("journalctl", "--output", "json", "--unit", UNIT, *arguments, check=True).stdout
        return [json.loads(line) for line in text.splitlines()]

    def setUp(self):
        done = self.inside("systemctl", "restart", UNIT)
        if done.returncode != 0:
            log = self.inside("journalctl", "--boot", "--no-pager", "--lines=40").stdout
            self.fail(f"restart: {done.stderr}\n{log}")

    def tearDown(self):
        self.inside("systemctl", "stop", UNIT)

    def test_it_is_active_when_it_is_ready_and_says_how_it_is(self):
        values = self.properties("ActiveState", "Type", "MainPID")
        self.assertEqual((values["ActiveState"], values["Type"]), ("active", "notify"))
        # The socket was there when the manager said `active`.
        status = json.loads(self.inside("packet-agent", "status", "--json", check=True).stdout)
        self.assertEqual(status["schema"], "packet-agent/status/1")
        text = wait_for(
            lambda: (lambda value: value if "GPU(s), ok" in value else None)(self.properties("StatusText")["StatusText"]),
            15, "STATUS")
        self.assertRegex(text, r"^1 GPU\(s\), ok; boot .*record\(s\) waiting$")

    def test_the_journal_holds_fields_and_not_only_text(self):
        entries = wait_for(
            lambda: [entry for entry in self.journal("--boot") if entry.get("PACKET_VERSION")], 10, "a structured entry")
        entry = entries[-1]
        self.assertEqual((entry["MESSAGE"], entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]), ("ready", "6", "packet-agent"))
        self.assertEqual((entry["_TRANSPORT"], entry["LOGGER"]), ("journal", "packet-agent"))
        version = self.inside("packet-agent", "--version", check=True).stdout.split()[-1]
        self.assertEqual(entry["PACKET_VERSION"], version)
        # Fields can be asked for.
        self.assertTrue(self.journal(f"PACKET_VERSION={version}"))

    def test_the_watchdog_is_fed(self):
        before = self.properties("WatchdogTimestampMonotonic", "NRestarts")
        time.sleep(5)
        after = self.properties("WatchdogTimestampMonotonic", "NRestarts", "ActiveState")
        self.assertGreater(int(after["WatchdogTimestampMonotonic"]), int(before["WatchdogTimestampMonotonic"]))
        self.assertEqual((after["NRestarts"], after["ActiveState"]), (before["NRestarts"], "active"))

    def test_an_agent_that_hangs_is_replaced(self):
        pid = int(self.properties("MainPID")["MainPID"])
        self.inside("systemctl", "kill", "--signal=STOP", "--kill-who=main", UNIT, check=True)

        def replaced():
            values = self.properties("MainPID", "ActiveState", "NRestarts")
            return values["ActiveState"] == "active" and int(values["MainPID"]) not in (0, pid)

        wait_for(replaced, 30, "the replacement")
        self.assertTrue(any("Watchdog timeout" in entry["MESSAGE"] for entry in self.journal("--boot")))

    def test_a_killed_agent_is_replaced(self):
        pid = int(self.properties("MainPID")["MainPID"])
        self.inside("systemctl", "kill", "--signal=KILL", "--kill-who=main", UNIT, check=True)
        wait_for(lambda: self.properties("MainPID")["MainPID"] not in ("0", str(pid)), 15, "the replacement")

    def test_services_see_the_environment_while_the_volume_is_there(self):
        configuration = '[storage]\\nvolumes = ["/mnt/data"]\\nrules = ["/mnt/data tmpfs volume stands for NFS"]\\n'
        self.inside(
            "sh", "-ec", "mkdir -p /mnt/data /etc/packet-agent; mount -t tmpfs data /mnt/data;"
            f"printf '{configuration}' >/etc/packet-agent/config.toml", check=True)
        self.addCleanup(self.inside, "sh", "-c", "umount /mnt/data; packet-agent env revert; rm /etc/packet-agent/config.toml")
        unit = "[Service]\\nType=oneshot\\nExecStart=/bin/sh -c \"env >/run/seen\"\\n"
        self.inside("sh", "-c", f"printf '{unit}' >/run/systemd/system/seen.service", check=True)
        service = lambda: self.inside("sh", "-c", "systemctl start seen && cat /run/seen", check=True).stdout
        self.assertNotIn("/mnt/data", service())
        self.inside("packet-agent", "env", "apply", check=True)
        self.assertIn("HF_HOME=/mnt/data/huggingface\n", service())
        proof = json.loads(self.inside("packet-agent", "env", "prove", "--json").stdout)
        found = {session["title"]: session for session in proof["sessions"]}["systemd service"]
        self.assertEqual(found["state"], "sees", found)
        # Also after the manager read its generators again.
        self.inside("systemctl", "daemon-reload", check=True)
        self.assertIn("HF_HOME=/mnt/data/huggingface\n", service())
        # The volume goes, and with it everything that names it.
        self.inside("umount", "/mnt/data", check=True)
        self.inside("packet-agent", "env", "apply")
        self.assertNotIn("/mnt/data", service())

    def test_stop_is_clean_and_keeps_what_sessions_read(self):
        self.inside("packet-agent", "status", "--wait=20")
        self.inside("systemctl", "stop", UNIT, check=True)
        values = self.properties("ActiveState", "Result", "ExecMainStatus")
        self.assertEqual(values, {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"})
        self.inside("test", "-f", "/run/packet-agent/boot.json", check=True)
        mode = self.inside("stat", "-c", "%a", "/var/lib/packet-agent", check=True).stdout.strip()
        self.assertEqual(mode, "700")


if __name__ == "__main__":
    unittest.main()
