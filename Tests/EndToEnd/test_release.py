"""packet-agent gpu release: all handles are let go, and taken up again."""

import os
import socket
import subprocess
import time
import unittest
import urllib.request

from support import AGENT, EndToEnd, wait_for


class Release(EndToEnd):
    def state(self):
        status = self.ready()
        return status and status["gpu"]["state"]

    def started(self, **more):
        agent = self.start_agent(**more)
        wait_for(lambda: self.state() == "ok", what="GPUs")
        return agent

    def test_the_library_is_closed_until_resume(self):
        agent = self.started()
        # pathlib would follow what the overlay says of the library; its name is enough.
        loaded = lambda: "libnvidia-ml.so.1" in open(f"/proc/{agent.pid}/maps").read()
        self.assertTrue(loaded())
        result = self.agent("gpu", "release")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"600 s", result.stdout)
        self.assertEqual(self.state(), "released")
        self.assertFalse(loaded())
        self.assertEqual(self.agent("gpu", "resume").returncode, 0)
        wait_for(lambda: self.state() == "ok", what="GPUs again")
        gaps = lambda: [gpu["gap_ms"] for gpu in self.local("/v1/usage")[1]["gpus"].values()]
        wait_for(lambda: len(gaps()) == 2 and all(gaps()), what="the declared gap")

    def test_sampling_goes_on_by_itself(self):
        self.started()
        self.assertEqual(self.agent("gpu", "release", "--for", "2").returncode, 0)
        wait_for(lambda: self.state() == "ok", 20, "the end of the release")
        self.assertEqual(self.agent("gpu", "release", "--for", "0").returncode, 64)

    def test_only_root_and_the_configured_users_may(self):
        os.chmod(self.directory, 0o755)
        self.started(PACKET_AGENT_AGENT_ALLOWED_USERS="12345")

        def release(uid):
            environment = self.environment()
            return subprocess.run(
                ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", AGENT, "gpu", "release"], env=environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

        refused = release(54321)
        self.assertEqual(refused.returncode, 2)
        self.assertIn(b"agent.allowed_users", refused.stderr)
        self.assertEqual(self.state(), "ok")
        self.assertEqual(release(12345).returncode, 0)
        self.assertEqual(self.state(), "released")

    def test_metrics_tell_how_records_are(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.started(PACKET_AGENT_METRICS_LISTEN=f"127.0.0.1:{port}")
        wait_for(lambda: self.ready()["delivery"]["spooled"] > 3, what="records")
        time.sleep(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("packet_agent_u"))
        self.assertGreater(float(values["packet_agent_usage_spooled_records"]), 3)
        self.assertGreater(float(values["packet_agent_usage_oldest_unacknowledged_seconds"]), 0)
        self.assertEqual(values["packet_agent_usage_dead_letters_total"], "0")
        self.assertEqual(values["packet_agent_usage_durable"], "1")
        self.assertNotIn("packet_agent_usage_last_acknowledgement_age_seconds", values)


if __name__ == "__main__":
    unittest.main()
