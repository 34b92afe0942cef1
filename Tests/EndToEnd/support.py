"""What the end-to-end tests share: real binaries, each in directories of its own."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PACKET_AGENT_BIN", ROOT / ".build-release" / "bin")).resolve()
AGENT = str(BIN / "packet-agent")
CONTROL = str(BIN / "packet-control")
NVML = str(ROOT / ".build" / "nvml-simulator" / "libnvidia-ml.so.1")
GPUS = ["GPU-e0000000-0000-4000-8000-00000000000%d" % index for index in range(2)]


def wait_for(condition, seconds=60, what="the condition"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {seconds} s")


class EndToEnd(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="packet-e2e."))
        self.processes = []
        self.scenario("gpu.count = 2\n" + "".join(f"gpu.{i}.uuid = {u}\ngpu.{i}.power.mw = 300000\n" for i, u in enumerate(GPUS)))

    def tearDown(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def scenario(self, text):
        new = self.directory / "scenario.new"
        new.write_text(text)
        new.rename(self.directory / "scenario")

    def environment(self, **more):
        values = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "NVML_SIMULATOR_SCENARIO": str(self.directory / "scenario"),
            "PACKET_AGENT_CONFIG": str(self.directory / "config.toml"),
            "PACKET_AGENT_AGENT_STATE_DIRECTORY": str(self.directory / "state"),
            "PACKET_AGENT_AGENT_RUNTIME_DIRECTORY": str(self.directory / "run"),
            "PACKET_AGENT_GPU_LIBRARY": NVML,
            "PACKET_AGENT_GPU_SAMPLE_INTERVAL_MS": "250",
            "PACKET_AGENT_METERING_INTERVAL_S": "1",
            "PACKET_AGENT_METERING_CHECKPOINT_S": "1",
            "PACKET_AGENT_METRICS_LISTEN": "",
        }
        values.update(more)
        return {name: value for name, value in values.items() if value is not None}

    def agent(self, *arguments, timeout=120, **more):
        return subprocess.run(
            [AGENT, *arguments], env=self.environment(**more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=timeout)

    def document(self, *arguments, **more):
        result = self.agent(*arguments, **more)
        return json.loads(result.stdout)

    def start(self, arguments, log, **environment):
        with open(self.directory / log, "ab") as output:
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **environment)
        self.processes.append(process)
        return process

    def start_agent(self, **more):
        return self.start([AGENT, "run", "--no-boot"], "agent.log", env=self.environment(**more))

    def socket_path(self):
        return str(self.directory / "run" / "agent.sock")

    def local(self, path):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(self.socket_path())
            client = http.client.HTTPConnection("localhost")
            client.sock = connection
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())

    def ready(self):
        try:
            return self.local("/v1/status")[1]
        except (OSError, ValueError):
            return None


class WithControlPlane(EndToEnd):
    def setUp(self):
        super().setUp()
        subprocess.run(
            [CONTROL, "token", "create", "--tokens", str(self.directory / "tokens"), "--team", "t", "--out",
             str(self.directory / "team")], check=True, stdout=subprocess.DEVNULL)
        self.port = 0
        self.control = self.start_control()
        answer = self.api("POST", "/v1/subscriptions", {"displayName": "p", "poolId": "h100", "vgpus": 2})
        self.pod = answer["podUid"]
        self.subscription = answer["id"]
        token = self.directory / "pod-token"
        token.touch(0o600)
        token.write_text(answer["podToken"])

    def start_control(self):
        port_file = self.directory / "port"
        port_file.unlink(missing_ok=True)
        process = self.start(
            [CONTROL, "serve", "--database", str(self.directory / "control.sqlite"), "--tokens",
             str(self.directory / "tokens"), "--listen", f"127.0.0.1:{self.port}", "--port-file", str(port_file)], "control.log")
        self.port = int(wait_for(lambda: port_file.exists() and port_file.read_text().strip(), what="packet-control"))
        return process

    def environment(self, **more):
        values = {
            "PACKET_AGENT_CONTROL_PLANE_URL": f"http://127.0.0.1:{getattr(self, 'port', 0)}",
            "PACKET_AGENT_CONTROL_PLANE_POD_UID": getattr(self, "pod", None),
            "PACKET_AGENT_CONTROL_PLANE_TOKEN_FILE": str(self.directory / "pod-token"),
        }
        values.update(more)
        return super().environment(**values)

    def api(self, method, path, body=None):
        token = (self.directory / "team").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        return process.wait(20)
