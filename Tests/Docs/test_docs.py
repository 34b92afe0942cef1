"""Every command with a `$` in docs/operators.md and docs/users.md, in order, in a pod: scripts/test-docs.

In an indented block `$ ` begins a command and `> ` continues it; other lines are output and are not compared. A command ends
with status 0 unless `# exit N` ends its line.
"""

import json
import os
import pathlib
import re
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


def commands(page):
    """(line, text, expected status) of each command of a page."""
    found = []
    for number, line in enumerate((ROOT / "docs" / page).read_text().splitlines(), 1):
        if line.startswith("    $ "):
            found.append([number, line[6:]])
        elif line.startswith("    > "):
            found[-1][1] += "\n" + line[6:]
    for number, text in found:
        status = re.search(r"  # exit (\d+)$", text)
        yield number, text, int(status.group(1)) if status else 0


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, **options)


class Documented(unittest.TestCase):
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
        return self.pod("exec", self.name, "--", "bash", "-lc", f"cd /root && {script}", check=check)

    def execute(self, page):
        seen = 0
        for line, text, expected in commands(page):
            done = self.inside(text, check=False)
            self.assertEqual(done.returncode, expected, f"docs/{page}:{line}: {text}\n{done.stdout}{done.stderr}")
            seen += 1
        self.assertGreater(seen, 10)

    def test_operators(self):
        binds = [f"--bind={deb}:/root/{deb.name}:ro" for deb in PACKAGES.glob("packet-agent_*.deb")]
        binds += [f"--bind={BIN}/packet-control:/usr/bin/packet-control:ro"]
        library = next(pathlib.Path("/usr/lib").glob("*/libsqlite3.so.0"))
        binds += [f"--bind={library}:/usr/lib/libsqlite3.so.0:ro"]
        self.create("--init", *binds)
        self.execute("operators.md")

    def test_users(self):
        url, subscription = self.control_plane()
        (self.directory / "etc").mkdir()
        (self.directory / "etc/config.toml").write_text(
            f'[control_plane]\nurl = "{url}"\npod_uid = "{subscription["podUid"]}"\n'
            f'[storage]\nvolumes = ["/mnt/{VOLUME}"]\n')
        (self.directory / "secrets").mkdir()
        token = self.directory / "secrets/token"
        token.touch(0o600)
        token.write_text(subscription["podToken"])
        self.create("--pod-uid", subscription["podUid"], f"--bind={BIN}/packet-agent:/usr/bin/packet-agent:ro",
                    f"--bind={self.directory}/etc:/etc/packet-agent:ro",
                    f"--bind={self.directory}/secrets:/run/secrets/packet-agent:ro",
                    command=("packet-agent", "init", "--", "sleep", "infinity"))
        self.inside("packet-agent status --wait=60")
        self.execute("users.md")

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


class Pages(unittest.TestCase):
    def test_every_command_of_the_program_that_a_page_names_exists(self):
        root = json.loads(run(BIN / "packet-agent", "--experimental-dump-help").stdout)["command"]
        known = {c["commandName"] for c in root["subcommands"]}
        for page in ("operators.md", "users.md", "entrypoint.md"):
            named = set(re.findall(r"packet-agent ([a-z]+(?:-[a-z]+)*)", "\n".join(
                text for text in re.findall(r"`([^`]*)`", (ROOT / "docs" / page).read_text()))))
            self.assertEqual(named - known, set(), page)

    def test_links_lead_somewhere(self):
        for page in (ROOT / "docs").glob("*.md"):
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    unittest.main()
