"""Pods for the tests of the documentation: scripts/test-docs."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ["PACKET_AGENT_BIN"])
PACKAGES = pathlib.Path(os.environ["PACKET_PACKAGES"])
ROOTFS = os.environ["PACKET_ROOTFS"]
VOLUME = "my-storage"


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, **options)


class WithPod(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="packet-docs.")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.name = f"docs-{os.getpid()}-{self._testMethodName.rsplit('_', 1)[-1]}"
        # Volumes and pods of its own, whatever else this machine has.
        self.environment = dict(os.environ, PACKET_PODS_DIR=str(self.directory / "pods"))
        (self.directory / "scenario").write_text("gpu.count = 1\ngpu.0.uuid = GPU-d0000000-0000-4000-8000-000000000001\n")

    def pod(self, *arguments, check=True, **options):
        done = run(ROOT / "scripts/pod", *arguments, env=self.environment, **options)
        if check:
            self.assertEqual(done.returncode, 0, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def create(self, *options, command=("sleep", "infinity")):
        self.pod("create", self.name, "--rootfs", ROOTFS, "--volume", "disk:256M", "--volume-name", VOLUME, "--hostname",
                 "trainer", "--nvml", ROOT / ".build/nvml-simulator", "--scenario", self.directory / "scenario", *options,
                 "--", *command)
        self.addCleanup(self.pod, "terminate", self.name, "--grace", "1", check=False)

    def inside(self, script, check=True):
        return self.pod("exec", self.name, "--", "bash", "-lc", "cd /root\n" + script, check=check)

    def control_plane(self):
        control, tokens = BIN / "packet-control", self.directory / "tokens"
        self.assertEqual(run(control, "token", "create", "--tokens", tokens, "--team", "t", "--out",
                             self.directory / "team").returncode, 0)
        port = self.directory / "port"
        server = subprocess.Popen(
            [control, "serve", "--database", self.directory / "db", "--tokens", tokens, "--listen", "127.0.0.1:0",
             "--port-file", port], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        deadline = time.monotonic() + 60
        while not (port.exists() and port.read_text().strip()):
            self.assertLess(time.monotonic(), deadline, "packet-control does not listen")
            time.sleep(0.1)
        url = f"http://127.0.0.1:{port.read_text().strip()}"

        def post(path, body):
            request = urllib.request.Request(url + path, method="POST", data=json.dumps(body).encode(), headers={
                "Authorization": "Bearer " + (self.directory / "team").read_text().strip(),
                "Content-Type": "application/json"})
            return json.load(urllib.request.urlopen(request, timeout=30))

        volume = post("/v1/volumes", {"name": VOLUME, "size_gb": 1})
        return url, post("/v1/subscriptions", {
            "displayName": "trainer", "poolId": "h100-pool", "vgpus": 1, "imageUuid": "debian-12",
            "sharedVolumeIds": [volume["id"]]})
