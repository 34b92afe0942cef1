"""examples/: they parse, name what exists, and give a pod what the agent itself would ask for."""

import json
import os
import pathlib
import re
import subprocess
import unittest

import yaml

from support import BIN, ROOT, VOLUME, WithPod


class Kubernetes(WithPod):
    def setUp(self):
        super().setUp()
        self.text = (ROOT / "examples/kubernetes.yaml").read_text()
        self.pod_object = yaml.safe_load(self.text)
        self.container = self.pod_object["spec"]["containers"][0]

    def test_mounts_and_volumes_fit(self):
        spec = self.pod_object["spec"]
        self.assertEqual((self.pod_object["apiVersion"], self.pod_object["kind"]), ("v1", "Pod"))
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        mounts = [m for c in spec["initContainers"] + spec["containers"] for m in c["volumeMounts"]]
        self.assertEqual({m["name"] for m in mounts}, set(volumes))
        self.assertIn("nfs", volumes[VOLUME])
        self.assertEqual(volumes["token"]["secret"]["defaultMode"], 0o600)

    def test_its_configuration_is_accepted(self):
        given = {e["name"]: e.get("value", "a-uid") for e in self.container["env"]}
        done = subprocess.run(
            [BIN / "packet-agent", "config", "check", "--file", "/dev/null"], capture_output=True, text=True,
            env={**{k: v for k, v in given.items() if k.startswith("PACKET_AGENT_")}, "PATH": os.environ["PATH"]})
        self.assertEqual(done.returncode, 0, done.stderr)
        keys = {name: value for name, value in given.items() if name.startswith("PACKET_AGENT_")}
        shown = subprocess.run([BIN / "packet-agent", "config", "--file", "/dev/null"], capture_output=True, text=True,
                               env={**keys, "PATH": os.environ["PATH"]}).stdout
        for name in keys:
            self.assertRegex(shown, rf"(?m)# .*{name}", "the variable is of no key")

    def test_its_variables_are_those_that_the_agent_asks_for(self):
        self.create(f"--bind={BIN}/packet-agent:/usr/bin/packet-agent:ro",
                    f"--env=PACKET_AGENT_STORAGE_VOLUMES=/mnt/{VOLUME}")
        asked = json.loads(self.inside("packet-agent env --format json").stdout)["pod_spec"]
        below = yaml.safe_load(self.text[self.text.index("# POD_SPEC"):self.text.index("      resources:")])
        self.assertEqual({e["name"]: e["value"] for e in below}, asked)


class Dockerfile(unittest.TestCase):
    def test_its_entrypoint_starts_a_command(self):
        text = (ROOT / "examples/Dockerfile").read_text()
        entrypoint = json.loads(re.search(r"^ENTRYPOINT (.*)", text, re.M).group(1))
        self.assertEqual(entrypoint[0], "packet-agent")
        done = subprocess.run([BIN / entrypoint[0], *entrypoint[1:], "sh", "-c", "exit 7"], capture_output=True, env={
            "PATH": os.environ["PATH"], "PACKET_AGENT_AGENT_STATE_DIRECTORY": "/nonexistent/state",
            "PACKET_AGENT_AGENT_RUNTIME_DIRECTORY": "/nonexistent/run", "PACKET_AGENT_ENVIRONMENT_ENABLED": "false"})
        self.assertEqual(done.returncode, 7, done.stderr)

    def test_its_instructions_are_known(self):
        words = "FROM COPY ADD RUN ENV ENTRYPOINT CMD".split()
        joined = (ROOT / "examples/Dockerfile").read_text().replace("\\\n", " ")
        for line in joined.splitlines():
            if line.strip() and not line.startswith("#"):
                self.assertIn(line.split()[0], words)


if __name__ == "__main__":
    unittest.main()
