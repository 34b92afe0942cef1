"""Boot and the volume's set-up scripts in pods: what runs as whom, what a login says, what waits."""

import json
import unittest

from support import wait_for
from test_pod import NAME, Pod


class Boot(Pod):
    def script(self, text, name="setup.sh", mode="755"):
        path = f"/mnt/{NAME}/{name}"
        self.inside("sh", "-c", f"mkdir -p $(dirname {path}) && printf '%s' \"$1\" >{path} && chmod {mode} {path}", "sh", text)

    def pod(self, *options):
        self.create("--volume", "disk:64M", "--volume-name", NAME, *options)

    def test_a_failed_boot_is_one_red_line_at_login(self):
        self.pod()
        self.script("#!/bin/sh\nexit 3\n")
        self.assertEqual(self.inside("packet-agent", "boot").returncode, 1)
        line = "Boot failed at setup: it ended with status 3; log: /run/packet-agent/setup.log. See: packet-agent status\n"
        self.assertEqual(self.inside("bash", "-lic", "true").stdout, line)
        self.assertEqual(self.inside("sh", "-lic", "true").stdout, line)
        self.assertEqual(self.inside("bash", "-lc", "true").stdout, "", "only interactive shells are told")
        terminal = self.inside("env", "TERM=xterm", "script", "-qec", "bash -lic true", "/dev/null").stdout
        self.assertEqual(terminal.replace("\r", ""), "\x1b[31m" + line.rstrip() + "\x1b[0m\n")
        for plain in ["NO_COLOR=1", "TERM=dumb"]:
            terminal = self.inside("env", "TERM=xterm", plain, "script", "-qec", "bash -lic true", "/dev/null").stdout
            self.assertEqual(terminal.replace("\r", ""), line)
        status = self.inside("packet-agent", "status", "--wait", "--json")
        self.assertEqual(status.returncode, 1)
        self.assertEqual(json.loads(status.stdout)["boot"]["state"], "degraded")
        self.assertIn("setup failed: it ended with status 3", self.inside("packet-agent", "status").stdout)
        self.script("#!/bin/sh\n")
        self.assertEqual(self.inside("packet-agent", "boot").returncode, 0)
        self.assertEqual(self.inside("bash", "-lic", "true").stdout, "")

    def test_scripts_run_once_in_order_as_their_owners(self):
        self.pod()
        self.inside("useradd", "-m", "-u", "1500", "ann")
        self.script("#!/bin/sh\nid -un >>/tmp/order\n")
        self.script("#!/bin/sh\nid -un >>/tmp/order; echo $HOME $USER >>/tmp/order; touch /root/no\n", "setup.d/10-ann.sh")
        self.script("#!/bin/sh\nid -un >>/tmp/order\n", "setup.d/20-anybody.sh", "777")
        self.inside("sh", "-c", f"chmod 666 /tmp/order; chown ann:ann /mnt/{NAME}/setup.d/10-ann.sh; : >/tmp/order; chmod 666 /tmp/order")
        self.configure("[setup]\nallowed_owners = [1500]\n")
        self.inside("packet-agent", "boot")
        self.assertEqual(self.file("/tmp/order"), "root\nann\n/home/ann ann\n")
        setup = self.document("setup", "status")
        self.assertEqual([entry["state"] for entry in setup["scripts"]], ["succeeded", "failed", "refused"])
        self.assertIn("chmod o-w", setup["scripts"][2]["reason"])
        # Not again, whatever starts a boot.
        self.inside("packet-agent", "boot")
        self.assertEqual(self.file("/tmp/order"), "root\nann\n/home/ann ann\n")
        self.inside("packet-agent", "setup", "run", "--force")
        self.assertEqual(len(self.file("/tmp/order").splitlines()), 6)

    def test_commands_that_wait_and_the_log_that_grows(self):
        self.pod()
        self.script("#!/bin/sh\nfor i in 1 2 3 4 5; do echo line $i; sleep 1; done\n")
        self.start_boot()
        follow = self.inside("packet-agent", "setup", "logs", "-f")
        self.assertEqual(follow.stdout.splitlines(), [f"line {i}" for i in range(1, 6)])
        waited = self.inside("packet-agent", "exec", "--wait=60", "--", "cat", "/run/packet-agent/boot.json")
        self.assertEqual(json.loads(waited.stdout)["state"], "ready", waited)

    def start_boot(self):
        self.inside("sh", "-c", "setsid packet-agent boot >/tmp/boot.log 2>&1 &")
        wait_for(lambda: "line 1" in (self.file("/run/packet-agent/setup.log") or ""), what="the script")

    def test_two_boots_are_one_and_logins_wait_only_when_told(self):
        self.configure("[boot]\nhold_login_s = 60\n")
        self.pod()
        self.script("#!/bin/sh\necho line 1; sleep 4; echo run >>/tmp/count\n")
        self.start_boot()
        self.assertEqual(self.inside("bash", "-lc", "cat /tmp/count 2>/dev/null || echo at once").stdout, "at once\n")
        self.assertEqual(self.inside("bash", "-lic", "cat /tmp/count").stdout, "run\n")
        second = self.inside("packet-agent", "boot", "--json")
        self.assertEqual(json.loads(second.stdout)["state"], "ready")
        self.assertEqual(self.file("/tmp/count"), "run\n")

    def test_ten_thousand_lines_of_progress(self):
        self.pod()
        self.script("#!/bin/bash\nfor ((i = 0; i < 10000; i++)); do printf '%d %%\\r' $i; done; echo; echo end\n")
        self.assertEqual(self.inside("packet-agent", "boot").returncode, 0)
        lines = self.inside("packet-agent", "setup", "logs").stdout.splitlines()
        self.assertLess(len(lines), 100)
        self.assertEqual(lines[-2:], ["9999 %", "end"])


if __name__ == "__main__":
    unittest.main()
