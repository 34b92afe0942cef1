"""The golden files under the parsers of Prometheus and OpenTelemetry."""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import unittest

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "Golden"
UUID = "GPU-11111111-2222-3333-4444-555555555555"


def families(name):
    text = (GOLDEN / name).read_text()
    return {family.name: family for family in text_string_to_metric_families(text)}


def points(name):
    """{metric: [(attributes, value, flags)]} of an OTLP file, after a strict parse."""
    request = ExportMetricsServiceRequest()
    bytes_ = base64.b64decode((GOLDEN / name).read_text())
    assert request.ParseFromString(bytes_) == len(bytes_)
    found = {}
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            assert scope.scope.name == "packet-agent"
            for metric in scope.metrics:
                assert metric.name not in found, metric.name
                data = getattr(metric, metric.WhichOneof("data"))
                found[metric.name] = (metric, [
                    ({item.key: item.value.string_value for item in point.attributes},
                     getattr(point, point.WhichOneof("value")) if point.WhichOneof("value") else None, point.flags, point)
                    for point in data.data_points])
    return request, found


class Prometheus(unittest.TestCase):
    def test_every_family_parses_with_its_type_and_no_series_is_there_twice(self):
        for name in ["metrics.prom", "metrics-mig.prom", "metrics-no-gpu.prom"]:
            text = (GOLDEN / name).read_text()
            seen, count = set(), 0
            for family in text_string_to_metric_families(text):
                self.assertIn(family.type, ("gauge", "counter"), family.name)
                self.assertTrue(family.documentation, family.name)
                for sample in family.samples:
                    key = (sample.name, tuple(sorted(sample.labels.items())))
                    self.assertNotIn(key, seen)
                    seen.add(key)
                    count += 1
            lines = [line for line in text.splitlines() if not line.startswith("#")]
            self.assertEqual(count, len(lines), name)

    def test_the_values_are_those_of_the_snapshot(self):
        found = families("metrics.prom")

        def value(name, **labels):
            (sample,) = [s for s in found[name].samples if all(s.labels.get(k) == v for k, v in labels.items())]
            return sample.value

        self.assertEqual(value("DCGM_FI_DEV_GPU_UTIL"), 73)
        self.assertEqual(value("DCGM_FI_DEV_POWER_USAGE"), 456.789)
        self.assertEqual(value("DCGM_FI_DEV_FB_USED"), 12345)
        self.assertEqual(value("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"), 0.3325)
        self.assertEqual(value("DCGM_FI_DEV_XID_ERRORS"), 79)
        self.assertEqual(value("packet_agent_gpu_busy_seconds"), 7.3)
        self.assertEqual(value("packet_agent_gpu_xid_errors", xid="31"), 4)
        self.assertEqual(found["DCGM_FI_DEV_GPU_UTIL"].samples[0].labels["modelName"], 'NVIDIA "H100" \\ 80GB')

    def test_counters_are_counters_as_in_dcgm_exporter(self):
        found = families("metrics.prom")
        self.assertEqual(found["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"].type, "counter")
        self.assertEqual(found["DCGM_FI_DEV_GPU_TEMP"].type, "gauge")

    def test_promtool_finds_nothing_to_say_about_our_own_metrics(self):
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool is not installed (Debian: prometheus)")
        for name in ["metrics.prom", "metrics-mig.prom", "metrics-no-gpu.prom"]:
            text = (GOLDEN / name).read_text()
            own = "".join(line for line in text.splitlines(True) if re.match(r"(# \w+ )?packet_agent_", line))
            result = subprocess.run([promtool, "check", "metrics"], input=own, capture_output=True, text=True)
            self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))

    def test_the_dashboard_asks_only_for_what_is_exported(self):
        names = {match for file in ["metrics.prom", "metrics-mig.prom"]
                 for match in re.findall(r"^(\w+)[{ ]", (GOLDEN / file).read_text(), re.M)}
        dashboard = json.loads((HERE.parent.parent / "dashboards" / "packet-agent.json").read_text())
        queries = []

        def collect(node):
            if isinstance(node, dict):
                queries.extend(value for key, value in node.items() if key in ("expr", "query") and isinstance(value, str))
                for value in node.values():
                    collect(value)
            elif isinstance(node, list):
                for value in node:
                    collect(value)

        collect(dashboard)
        asked = {name for query in queries for name in re.findall(r"\b(?:DCGM_FI_\w+|packet_agent_\w+)", query)}
        self.assertGreater(len(asked), 15)
        self.assertEqual(asked - names, set())


class OpenTelemetry(unittest.TestCase):
    def test_a_full_snapshot_has_the_conventions_names_and_units(self):
        request, found = points("otlp-full.base64")
        resource = {item.key: item.value.string_value for item in request.resource_metrics[0].resource.attributes}
        self.assertEqual(resource, {"service.name": "packet-agent", "host.name": "pod-1"})
        expected = {
            "hw.gpu.utilization": ("gauge", "1"), "hw.gpu.memory.usage": ("sum", "By"),
            "hw.gpu.memory.limit": ("sum", "By"), "hw.gpu.memory.utilization": ("gauge", "1"), "hw.gpu.io": ("sum", "By"),
            "hw.errors": ("sum", "{error}"), "hw.status": ("sum", "1"), "hw.energy": ("sum", "J"),
            "hw.power": ("gauge", "W"), "hw.temperature": ("gauge", "Cel"),
        }
        for name, (kind, unit) in expected.items():
            metric, _ = found[name]
            self.assertEqual((metric.WhichOneof("data"), metric.unit), (kind, unit), name)
        for name, (metric, values) in found.items():
            for attributes, value, flags, point in values:
                self.assertIsNotNone(value, name)
                self.assertEqual(flags, 0)
                self.assertEqual(point.time_unix_nano, 1_700_000_010_000_000_000)
                if name.startswith("hw."):
                    self.assertEqual(attributes["hw.id"], UUID)
            if metric.WhichOneof("data") == "sum":
                self.assertEqual(metric.sum.aggregation_temporality, 2)

    def test_only_counters_are_monotonic(self):
        _, found = points("otlp-full.base64")
        monotonic = {name for name, (metric, _) in found.items() if metric.WhichOneof("data") == "sum" and metric.sum.is_monotonic}
        self.assertIn("hw.energy", monotonic)
        self.assertNotIn("hw.gpu.memory.usage", monotonic)
        self.assertNotIn("hw.status", monotonic)

    def test_values_are_those_of_the_snapshot(self):
        _, found = points("otlp-full.base64")

        def value(name, **attributes):
            wanted = {key.replace("_", "."): v for key, v in attributes.items()}
            (match,) = [p[1] for p in found[name][1] if all(p[0].get(k) == v for k, v in wanted.items())]
            return match

        self.assertAlmostEqual(value("hw.gpu.utilization", **{"hw_gpu_task": "general"}), 0.73)
        self.assertEqual(value("hw.gpu.memory.usage"), 12345 << 20)
        self.assertAlmostEqual(value("hw.power"), 456.789)
        self.assertAlmostEqual(value("hw.energy"), 4567.89)
        self.assertEqual(value("hw.status", **{"hw_state": "ok"}), 1)
        self.assertEqual(value("hw.status", **{"hw_state": "failed"}), 0)
        self.assertAlmostEqual(value("packet.gpu.busy_time"), 7.3)
        self.assertEqual(value("packet.gpu.xid", xid="31"), 4)

    def test_a_lost_gpu_ends_its_series_with_no_recorded_value(self):
        _, before = points("otlp-full.base64")
        _, after = points("otlp-lost.base64")
        for name in ["hw.power", "hw.temperature", "hw.gpu.utilization", "packet.gpu.busy_time"]:
            self.assertEqual(len(after[name][1]), len(before[name][1]), name)
            for attributes, value, flags, _ in after[name][1]:
                self.assertEqual((value, flags), (None, 1), name)
        states = {p[0]["hw.state"]: p[1] for p in after["hw.status"][1]}
        self.assertEqual(states, {"ok": 0, "degraded": 0, "failed": 1, "predicted_failure": 0})

    def test_an_instance_names_its_gpu(self):
        _, found = points("otlp-mig.base64")
        parents = {p[0]["hw.id"]: p[0].get("hw.parent") for p in found["hw.gpu.memory.usage"][1]}
        self.assertEqual(set(parents.values()), {UUID})
        self.assertTrue(all(key.startswith("MIG-") for key in parents))
        self.assertEqual({p[0]["packet.method"] for p in found["packet.gpu.busy_time"][1]}, {"profiling"})


if __name__ == "__main__":
    unittest.main()
