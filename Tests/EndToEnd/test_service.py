"""The daemon as a service: systemd's protocol, the local socket, one agent, and a stop that ends."""

import os
import signal
import socket
import stat
import time
import unittest
import urllib.request

from support import GPUS, EndToEnd, WithControlPlane, wait_for


class Service(EndToEnd):
    def test_systemd_is_told_ready_status_watchdog_and_stopping(self):
        address = str(self.directory / "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(address)
        manager.settimeout(20)
        agent = self.start_agent(NOTIFY_SOCKET=address, WATCHDOG_USEC="2000000")
        seen = b""
        while not all(word in seen for word in (b"READY=1", b"STATUS=", b"WATCHDOG=1")):
            seen += manager.recv(4096) + b"\n"
        agent.send_signal(signal.SIGTERM)
        while b"STOPPING=1" not in seen:
            seen += manager.recv(4096) + b"\n"
        self.assertEqual(agent.wait(20), 0)

    def test_the_socket_answers_every_user(self):
        self.start_agent()
        status = wait_for(lambda: (s := self.ready()) and s["gpu"]["state"] == "ok" and s, what="GPUs")
        self.assertEqual(stat.S_IMODE(os.stat(self.socket_path()).st_mode), 0o666)
        self.assertEqual(status["schema"], "packet-agent/status/1")
        self.assertEqual(status["gpu"], {"state": "ok", "devices": 2})
        self.assertEqual({d["uuid"] for d in self.local("/v1/gpu")[1]["devices"]}, set(GPUS))
        usage = wait_for(lambda: self.local("/v1/usage")[1]["gpus"], what="a record")
        self.assertEqual(set(usage), set(GPUS))
        self.assertEqual(self.local("/nothing")[0], 404)

    def test_metrics_are_served_also_while_the_driver_hangs(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]

        def scrape():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
                return answer.read().decode()

        self.start_agent(PACKET_AGENT_METRICS_LISTEN=f"127.0.0.1:{port}")
        wait_for(lambda: (s := self.ready()) and s["gpu"]["state"] == "ok", what="GPUs")
        text = scrape()
        for uuid in GPUS:
            self.assertRegex(text, rf'DCGM_FI_DEV_GPU_UTIL{{[^}}]*UUID="{uuid}"[^}}]*}} \d')
        self.assertIn('packet_agent_nvml_state{state="ok"} 1', text)
        self.scenario(f"gpu.count = 2\ngpu.0.uuid = {GPUS[0]}\ngpu.1.uuid = {GPUS[1]}\nhang.nvmlDeviceGetMemoryInfo_v2 = true\n")
        wait_for(lambda: 'packet_agent_nvml_state{state="hung"} 1' in scrape(), 60, "the hang")
        self.assertNotIn("DCGM_FI_DEV_GPU_UTIL{", scrape(), "what is not known now is not shown")

    def test_a_second_agent_says_so_and_leaves(self):
        self.start_agent()
        wait_for(self.ready, what="the agent")
        second = self.agent("run", "--no-boot")
        self.assertEqual(second.returncode, 2)
        self.assertIn(b"is another agent running?", second.stderr)
        self.assertIsNotNone(self.ready())

    def test_a_hung_driver_does_not_hold_the_stop_up(self):
        agent = self.start_agent()
        wait_for(lambda: (s := self.ready()) and s["gpu"]["state"] == "ok", what="GPUs")
        self.scenario(f"gpu.count = 2\ngpu.0.uuid = {GPUS[0]}\ngpu.1.uuid = {GPUS[1]}\nhang.nvmlDeviceGetMemoryInfo_v2 = true\n")
        time.sleep(1)
        self.assertIsNotNone(self.ready())
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(15), 0)

    def test_usage_survives_a_restart_of_the_agent(self):
        agent = self.start_agent()
        wait_for(lambda: (s := self.ready()) and s["delivery"]["spooled"] >= 4, what="records")
        agent.kill()
        agent.wait()
        self.start_agent()
        wait_for(self.ready, what="the agent")
        usage = wait_for(
            lambda: (u := self.local("/v1/usage")[1]["gpus"]) and all(g["gap_ms"].get("agent_down") for g in u.values()) and u,
            what="the declared gap")
        self.assertTrue(all(g["observed_ms"] >= 1000 for g in usage.values()))


class Delivery(WithControlPlane):
    def test_the_last_interval_is_delivered_at_the_stop(self):
        agent = self.start_agent(PACKET_AGENT_METERING_INTERVAL_S="600")
        wait_for(lambda: (s := self.ready()) and s["gpu"]["state"] == "ok", what="GPUs")
        time.sleep(2)
        self.assertEqual(self.stop(agent), 0)
        usage = self.api("GET", "/v1/usage")["subscriptions"][0]
        self.assertEqual({g["gpu_uuid"] for g in usage["gpus"]}, set(GPUS))
        self.assertTrue(all(g["observed_ms"] >= 1000 for g in usage["gpus"]))

    def test_a_dead_control_plane_loses_nothing_and_does_not_hold_the_stop_up(self):
        agent = self.start_agent()
        wait_for(self.ready, what="the agent")
        self.control.kill()
        self.control.wait()
        wait_for(lambda: (s := self.ready()) and s["delivery"]["failure"] and s["delivery"]["spooled"] > 2, what="a failure")
        started = time.monotonic()
        self.assertEqual(self.stop(agent), 0)
        self.assertLess(time.monotonic() - started, 15)
        self.control = self.start_control()
        self.start_agent(PACKET_AGENT_GPU_ENABLED="false")
        wait_for(lambda: (s := self.ready()) and s["delivery"]["spooled"] == 0, 30, "an empty spool")


if __name__ == "__main__":
    unittest.main()
