"""Metrics to an OpenTelemetry receiver that fails, throttles, hangs and at last accepts."""

import gzip
import http.server
import os
import signal
import sys
import threading
import time
import unittest

from support import GPUS, ROOT, EndToEnd, wait_for

sys.path += [str(path) for path in (ROOT / ".build" / "telemetry" / "lib").glob("python3*/site-packages")]
try:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest, ExportMetricsServiceResponse)
except ImportError:
    raise unittest.SkipTest("needs opentelemetry-proto: scripts/test-telemetry installs it")


class Receiver:
    """Answers each request as the next of `script` says; the last answer stays."""

    def __init__(self):
        self.script = ["ok"]
        self.requests = []
        self.release = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = receiver.script.pop(0) if len(receiver.script) > 1 else receiver.script[0]
                receiver.requests.append((time.monotonic(), kind, self.path, dict(self.headers), body))
                if kind == "hang":
                    receiver.release.wait(60)
                    return
                answer = b""
                if kind == "partial":
                    message = ExportMetricsServiceResponse()
                    message.partial_success.rejected_data_points = 3
                    message.partial_success.error_message = "too old"
                    answer = message.SerializeToString()
                self.send_response({"ok": 200, "partial": 200}.get(kind) or int(kind.split()[0]))
                if " " in kind:
                    self.send_header("Retry-After", kind.split()[1])
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/prefix"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self, kind="ok"):
        return [request for request in list(self.requests) if request[1] == kind]

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


def points(request):
    """{(metric, hw.id): [(value, flags)]}"""
    body = request[4]
    if request[3].get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    message = ExportMetricsServiceRequest()
    assert message.ParseFromString(body) == len(body)
    found = {}
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    attributes = {a.key: a.value.string_value for a in point.attributes}
                    value = getattr(point, point.WhichOneof("value")) if point.WhichOneof("value") else None
                    found.setdefault((metric.name, attributes.get("hw.id")), []).append((value, point.flags))
    return found


class OTLP(EndToEnd):
    def setUp(self):
        super().setUp()
        self.receiver = Receiver()
        self.headers = self.directory / "headers"
        self.headers.touch(0o600)
        self.headers.write_text("# for the receiver\nAuthorization: Bearer s3cret-value\nX-Scope: a b\n")

    def tearDown(self):
        self.receiver.close()
        super().tearDown()

    def environment(self, **more):
        values = {
            "PACKET_AGENT_OTLP_ENDPOINT": self.receiver.url, "PACKET_AGENT_OTLP_INTERVAL_S": "1",
            "PACKET_AGENT_OTLP_HEADERS_FILE": str(self.headers),
        }
        values.update(more)
        return super().environment(**values)

    def log(self):
        return (self.directory / "agent.log").read_text()

    def test_the_receiver_gets_what_the_gpus_do_and_the_end_of_each_series(self):
        agent = self.start_agent()
        wait_for(lambda: any(("hw.power", GPUS[1]) in points(r) for r in self.receiver.taken()), what="a batch with GPUs")
        request = self.receiver.taken()[-1]
        self.assertEqual(request[2], "/prefix/v1/metrics")
        headers = {name.lower(): value for name, value in request[3].items()}
        self.assertEqual(headers["content-type"], "application/x-protobuf")
        self.assertEqual(headers["content-encoding"], "gzip")
        self.assertEqual((headers["authorization"], headers["x-scope"]), ("Bearer s3cret-value", "a b"))
        self.assertEqual(points(request)[("hw.power", GPUS[0])], [(300.0, 0)])
        # A GPU falls off the bus: its series end, once.
        self.scenario(f"gpu.count = 2\ngpu.0.uuid = {GPUS[0]}\ngpu.1.uuid = {GPUS[1]}\ngpu.1.lost = true\n")
        ended = lambda: [r for r in self.receiver.taken() if points(r).get(("hw.power", GPUS[1])) == [(None, 1)]]
        wait_for(ended, what="the end of the series")
        count = len(self.receiver.taken())
        wait_for(lambda: len(self.receiver.taken()) > count + 1, what="more batches")
        self.assertEqual(len(ended()), 1)
        # The other GPU goes on; at the stop everything ends.
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(20), 0)
        self.assertEqual({v for values in points(self.receiver.taken()[-1]).values() for v in values}, {(None, 1)})
        self.assertNotIn("s3cret", self.log())

    def test_throttled_and_failing_receivers_get_the_same_batch_again_and_refused_ones_do_not(self):
        self.receiver.script = ["503", "429 2", "ok", "400", "500", "partial", "ok"]
        self.start_agent()
        wait_for(lambda: len(self.receiver.requests) >= 7, what="seven requests")
        requests = self.receiver.requests
        self.assertEqual(len({requests[i][4] for i in (0, 1, 2)}), 1, "the same bytes until they are taken")
        self.assertGreaterEqual(requests[2][0] - requests[1][0], 1.9, "Retry-After")
        for index in range(3, 7):
            self.assertNotIn(requests[index][4], {r[4] for r in requests[:index]}, "not again")
        wait_for(lambda: "refused 3 data point(s): too old" in self.log(), what="the partial success in the log")
        self.assertIn("answered 400", self.log())

    def test_a_receiver_that_hangs_or_is_dead_disturbs_nothing(self):
        self.receiver.script = ["ok", "hang"]
        agent = self.start_agent()
        wait_for(lambda: self.receiver.taken("hang"), what="the hang")
        ticks = self.local("/v1/gpu")[1]["tick"]
        records = self.ready()["delivery"]["spooled"]
        wait_for(lambda: self.local("/v1/gpu")[1]["tick"] > ticks + 8, 10, "sampling")
        wait_for(lambda: self.ready()["delivery"]["spooled"] > records, 10, "records")
        started = time.monotonic()
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(20), 0)
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(len(self.receiver.requests), 2, "no farewell to a receiver that does not answer")
        # Nobody listens at all.
        agent = self.start_agent(PACKET_AGENT_OTLP_ENDPOINT="http://127.0.0.1:9")
        wait_for(lambda: "Connection refused" in self.log() or "connection refused" in self.log().lower(), what="the refusal")
        wait_for(lambda: self.ready() and self.ready()["gpu"]["state"] == "ok", what="GPUs")
        started = time.monotonic()
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(20), 0)
        self.assertLess(time.monotonic() - started, 5)

    def test_a_headers_file_that_others_can_read_is_refused_until_it_is_closed(self):
        os.chmod(self.headers, 0o644)
        self.start_agent(PACKET_AGENT_OTLP_COMPRESSION="none")
        wait_for(lambda: (self.directory / "agent.log").exists() and "chmod 600" in self.log(), what="the advice")
        self.assertEqual(self.receiver.requests, [])
        os.chmod(self.headers, 0o600)
        wait_for(self.receiver.taken, what="a batch")
        self.assertNotIn("Content-Encoding", self.receiver.taken()[0][3])
        points(self.receiver.taken()[0])

    def test_link_local_receivers_are_refused(self):
        for url in ("http://169.254.169.254", "http://2852039166:4318", "http://[fe80::1]:4318", "http://user:pw@host"):
            result = self.agent("config", "check", PACKET_AGENT_OTLP_ENDPOINT=url)
            self.assertNotEqual(result.returncode, 0, url)


if __name__ == "__main__":
    unittest.main()
