"""Bad input gets one clear line and a doctor result, and the rest keeps working."""

import http.server
import json
import os
import threading
import time
import unittest

from support import EndToEnd, wait_for


class Garbage(http.server.BaseHTTPRequestHandler):
    body = b"<html>please log in</html>"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_PUT = do_POST

    def log_message(self, *_):
        pass


class BadInput(EndToEnd):
    def check(self, name, **more):
        report = self.document("doctor", "--json", "--quick", **more)
        return next(c for c in report["checks"] if c["id"] == name)

    def test_a_mistaken_configuration_is_named_with_its_place_and_the_agent_runs(self):
        (self.directory / "config.toml").write_text('[gpu]\nlibary = "x"\n')
        line = self.agent("config", "check")
        self.assertEqual(line.returncode, 1)
        self.assertIn(b'config.toml:2:1: unknown key "libary" in [gpu]; did you mean "library"?', line.stderr)
        found = self.check("agent.configuration")
        self.assertEqual(found["status"], "fail")
        self.assertIn("config.toml:2:1", found["evidence"])
        self.start_agent()
        wait_for(lambda: (s := self.ready()) and s["gpu"]["state"] == "ok", what="GPUs")

    def test_an_unreadable_configuration_is_one_line(self):
        (self.directory / "config.toml").mkdir()
        found = self.check("agent.configuration")
        self.assertEqual(found["status"], "fail")
        self.assertIn("config.toml", found["evidence"])

    def test_gpu_states(self):
        for library, scenario, status, words in [
            ("/nonexistent/libnvidia-ml.so.1", "", "skip", "nonexistent"),
            (None, "init.result = LIB_RM_VERSION_MISMATCH\n", "fail", "differ"),
            (None, "init.result = DRIVER_NOT_LOADED\n", "fail", "driver"),
            (None, "gpu.count = 1\n", "pass", "driver"),
        ]:
            self.scenario(scenario)
            more = {"PACKET_AGENT_GPU_LIBRARY": library} if library else {}
            found = self.check("gpu.nvml", **more)
            self.assertEqual((found["status"], words in found["evidence"]), (status, True), found)

    def test_a_missing_volume_fails_and_nothing_else_does(self):
        found = self.check("storage.volume", PACKET_AGENT_STORAGE_VOLUMES="/mnt/not-there")
        self.assertEqual(found["status"], "fail")
        self.assertIn("/mnt/not-there is not mounted", found["evidence"])

    def test_a_control_plane_that_answers_garbage_gets_nothing_deleted(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Garbage)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        token = self.directory / "token"
        token.touch(0o600)
        token.write_text("t")
        more = {
            "PACKET_AGENT_CONTROL_PLANE_URL": f"http://127.0.0.1:{server.server_port}",
            "PACKET_AGENT_CONTROL_PLANE_POD_UID": "p",
            "PACKET_AGENT_CONTROL_PLANE_TOKEN_FILE": str(token),
        }
        self.start_agent(**more)
        status = wait_for(lambda: (s := self.ready()) and s["delivery"]["failure"] and s["delivery"]["spooled"] > 2 and s, what="a failure")
        self.assertIn("without an acknowledgement", status["delivery"]["failure"])
        self.assertEqual(self.check("control-plane.delivery", **more)["status"], "warn")
        os.chmod(token, 0o644)
        found = self.check("control-plane.configured", **more)
        self.assertEqual((found["status"], "chmod 600" in found["evidence"]), ("fail", True), found)

    def test_wrong_usage_is_64(self):
        for arguments in (["doctor", "no.such-check"], ["nonsense"], ["env", "--format", "xml"]):
            self.assertEqual(self.agent(*arguments).returncode, 64, arguments)

    def test_documents_have_their_schema_and_no_colour(self):
        self.start_agent()
        wait_for(self.ready, what="the agent")
        for name, arguments, keys in [
            ("doctor", ["doctor", "--json"], {"exit", "summary", "checks"}),
            ("storage", ["storage", "--json", "/tmp"], {"mounts", "volumes", "paths"}),
            ("at-risk", ["at-risk", "--json", "/nonexistent"], {"total_bytes", "total_files", "complete", "as_of", "groups"}),
            ("env", ["env", "--format", "json"], {"volume", "variables", "skipped"}),
            ("status", ["status", "--json"], {"agent", "pid", "uptime_s", "boot", "volumes", "setup", "gpu", "delivery"}),
            ("usage", ["usage", "--json"], {"gpus", "spooled"}),
        ]:
            document = self.document(*arguments)
            self.assertEqual(document["schema"], f"packet-agent/{name}/1")
            self.assertLessEqual(keys, document.keys(), name)
        self.assertNotIn(b"\x1b", self.agent("doctor").stdout)

    def test_names_never_reach_the_terminal_raw(self):
        name = b"/tmp/a\x1b[31m\nb\xff"
        result = self.agent("storage", name)
        self.assertNotIn(b"\x1b", result.stdout)
        self.assertIn(rb"\x1b[31m\x0ab\xff", result.stdout)
        entry = self.document("storage", "--json", name)["paths"][0]
        import base64

        self.assertEqual(base64.b64decode(entry["path_b64"]), name)

    def test_exec_passes_the_exit_code_on(self):
        self.assertEqual(self.agent("exec", "--", "sh", "-c", "exit 7").returncode, 7)
        self.assertEqual(self.agent("exec", "--", "/nonexistent").returncode, 127)
        self.assertEqual(self.agent("exec", "--", "/etc/passwd").returncode, 126)


if __name__ == "__main__":
    unittest.main()
