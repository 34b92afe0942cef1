"""Secrets stay where they are, and hostile text never reaches a terminal raw: real binaries in a pod, with a control plane."""

import http.server
import os
import pathlib
import secrets
import ssl
import subprocess
import threading
import unittest

from support import NVML, EndToEnd, WithControlPlane, wait_for
from test_pod import NAME, POD, Pod

# What people have in a pod, where they have it. {} stands for the secret.
FILES = {
    "/root/.cache/huggingface/token": "hf_{}",
    "/root/.netrc": "machine example.com login me password {}\n",
    "/root/.config/pip/pip.conf": "[global]\nindex-url = https://me:{}@pypi.example/simple\n",
    "/root/.aws/credentials": "[default]\naws_secret_access_key = {}\n",
    "/root/.kaggle/kaggle.json": '{{"username":"me","key":"{}"}}\n',
    "/root/.docker/config.json": '{{"auths":{{"r":{{"auth":"{}"}}}}}}\n',
    "/root/.ssh/id_ed25519": "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n",
    "/root/.git-credentials": "https://me:{}@git.example\n",
    "/root/.bash_history": "export TOKEN={}\n",
    "/root/project/.env": "API_KEY={}\n",
    "/root/project/.git/config": "[remote \"origin\"]\n\turl = https://me:{}@git.example/x.git\n",
    "/root/.condarc": "channels:\n  - https://me:{}@conda.example/c\n",
    "/root/.npmrc": "//registry.example/:_authToken={}\ncache=/root/npm\n",
}
VARIABLES = ["HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "SOME_PASSWORD"]

COMMANDS = [
    ["doctor"], ["doctor", "--json"], ["doctor", "--strict", "--json"], ["at-risk"], ["at-risk", "--json"], ["status"],
    ["status", "--json"], ["storage"], ["storage", "--json"], ["storage", "/root/.netrc", "/root/project"], ["usage"],
    ["usage", "--json"], ["gpu"], ["gpu", "--json"], ["env"], ["env", "--format", "json"], ["env", "--format", "systemd"],
    ["env", "--format", "dotenv"], ["env", "apply", "--dry-run"], ["env", "prove"], ["env", "revert"], ["config", "show"],
    ["config", "check"], ["setup", "status", "--json"], ["setup", "run"], ["setup", "logs"], ["snapshot", "show"],
    ["snapshot", "list"], ["boot"], ["move", "--dry-run", "/root/project"], ["move", "/root/project"],
]


class PodWithControlPlane(Pod, WithControlPlane):
    def setUp(self):
        WithControlPlane.setUp(self)
        Pod.setUp(self)

    def tearDown(self):
        Pod.tearDown(self)
        WithControlPlane.tearDown(self)

    def connect(self, comment=""):
        """The configuration of a pod that reports to the control plane, with GPUs that hold nothing but a name."""
        self.configure(comment)
        directory = pathlib.Path(self.configuration.name)
        (directory / "config.toml").write_text(
            f'{comment}[control_plane]\nurl = "http://127.0.0.1:{self.port}"\npod_uid = "{self.pod}"\n'
            'token_file = "/etc/packet-agent/token"\n[gpu]\nsample_interval_ms = 250\n[metering]\ninterval_s = 1\n'
            'checkpoint_s = 1\n[metrics]\nlisten = ""\n')
        token = directory / "token"
        token.touch(0o600)
        token.write_text((self.directory / "pod-token").read_text())


class Secrets(PodWithControlPlane):
    def test_canaries_are_found_nowhere_else(self):
        canaries = {path: secrets.token_hex(16) for path in list(FILES) + VARIABLES + ["argument", "comment", "proxy"]}
        canaries["pod token"] = (self.directory / "pod-token").read_text().strip()
        self.connect(f'# {canaries["comment"]}\n')
        variables = []
        for name in VARIABLES:
            variables += ["--env", f"{name}={canaries[name]}"]
        variables += ["--env", f"HTTPS_PROXY=http://me:{canaries['proxy']}@127.0.0.1:1", "--env", "https_proxy=http://127.0.0.1:1"]
        self.create(
            "--volume", "disk:64M", "--volume-name", NAME, "--nvml", NVML, "--scenario", str(self.directory / "scenario"),
            *variables, command=("packet-agent", "run"))
        for path, text in FILES.items():
            subprocess.run(
                [POD, "exec", NAME, "--", "sh", "-c", f"umask 077; mkdir -p '{os.path.dirname(path)}'; cat > '{path}'"],
                input=text.format(canaries[path]), text=True, check=True, stdout=subprocess.DEVNULL)
        # A program with a secret among its arguments that writes something large, as the growth watch tells.
        self.inside(
            "sh", "-c", "cat > /root/train.py <<'E'\nimport time; f = open('/root/model.bin', 'wb'); f.write(b'x' * (3 << 20)); "
            f"f.flush(); time.sleep(600)\nE\nsetsid python3 /root/train.py --token={canaries['argument']} >/dev/null 2>&1 &")
        self.inside("sh", "-c", f"printf '#!/bin/sh\\necho set up\\n' > /mnt/{NAME}/setup.sh; chmod 755 /mnt/{NAME}/setup.sh")
        wait_for(lambda: self.document("status")["delivery"]["last_ack_s"] is not None, what="an acknowledgement")

        outputs = {}
        for command in COMMANDS:
            result = self.inside(
                "sh", "-c",
                # What our processes look like from outside, while the command runs. A probe (its name is that of
                # /proc/self/exe) lives for milliseconds: nothing is started to look who is there. `setup-exec` becomes the
                # user's script and has the user's variables.
                '"$@" & child=$!; while kill -0 $child 2>/dev/null; do for p in /proc/[0-9]*; do read -r name < $p/comm; '
                'case $name in packet-agent*|exe) cat $p/cmdline >> /tmp/arguments; '
                "grep -qz '^probe$' $p/cmdline && ! grep -qz '^setup-exec$' $p/cmdline && cat $p/environ >> /tmp/environments;; "
                "esac; done 2>/dev/null; "
                "done; wait $child", "sh", "packet-agent", *command)
            outputs[" ".join(command)] = result.stdout + result.stderr
            self.assertNotEqual(result.returncode, 64, f"{command}: {result.stderr}")
        outputs["arguments"] = self.file("/tmp/arguments") or ""
        outputs["environments of probes"] = self.file("/tmp/environments") or ""
        self.assertIn("doctor", outputs["arguments"])
        self.assertIn("PATH=", outputs["environments of probes"])
        # What is kept: run files, spool, journal, lease, logs, what exists of them on the volume.
        found = self.inside(
            "sh", "-c", f"for f in $(find /run/packet-agent /var/lib/packet-agent /mnt/{NAME}/.packet -type f); do "
            "echo; echo \"== $f\"; cat -v $f; done").stdout
        self.assertIn("== /run/packet-agent/boot.json", found)
        self.assertIn(".segment", found)
        outputs["files"] = found
        # Two reports and a delivery later, what the control plane has and says.
        wait_for(lambda: self.api("GET", f"/v1/subscriptions/{self.subscription}"), what="the subscription")
        for path in self.directory.glob("control.*"):
            outputs[path.name] = path.read_bytes().decode("latin-1")
        self.assertIn(self.pod, "".join(outputs[name] for name in outputs if name.startswith("control.sqlite")))
        logs = pathlib.Path("/var/lib/packet-pods") / NAME
        for path in logs.rglob("*.log") if logs.exists() else []:
            outputs[str(path)] = path.read_text(errors="replace")
        leaks = [(what, where) for what, secret in canaries.items() for where, text in outputs.items() if secret in text]
        self.assertEqual(leaks, [])

    def test_a_token_that_others_can_read_is_not_used(self):
        self.connect()
        os.chmod(pathlib.Path(self.configuration.name) / "token", 0o644)
        self.create()
        found = self.check("control-plane.configured")
        self.assertEqual((found["status"], "chmod 600" in found["evidence"]), ("fail", True), found)

    def test_a_configuration_that_others_could_have_written_is_not_used(self):
        self.connect()
        os.chmod(pathlib.Path(self.configuration.name) / "config.toml", 0o666)
        self.create()
        found = self.check("agent.configuration")
        self.assertEqual((found["status"], "chmod go-w" in found["evidence"]), ("fail", True), found)
        self.assertEqual(self.check("control-plane.configured")["status"], "skip")


class HostileText(PodWithControlPlane):
    EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt"

    def test_nothing_hostile_reaches_the_terminal(self):
        evil = self.EVIL
        self.scenario(
            f"gpu.count = 1\ngpu.0.name = A{evil}B\ngpu.0.uuid = GPU-{evil}\ndriver.version = 5{evil}\ngpu.0.pci.bus_id = {evil}\n")
        self.connect()
        self.create(
            "--volume", "disk:64M", "--volume-name", NAME, "--nvml", NVML, "--scenario", str(self.directory / "scenario"),
            command=("packet-agent", "run"))
        script = (
            "#!/bin/sh\nprintf '\\033]0;owned\\007\\033[2J\\302\\23331m\\342\\200\\256txt\\377\\r\\b'\necho >&2 \"$(printf '\\033c')\"\nexit 3\n")
        subprocess.run(
            [POD, "exec", NAME, "--", "sh", "-c", f"cat > /mnt/{NAME}/setup.sh; chmod 755 /mnt/{NAME}/setup.sh"], input=script,
            text=True, check=True, stdout=subprocess.DEVNULL)
        # A file, a directory, a process (its name and its program) and a git repository with such names.
        self.inside(
            "python3", "-c",
            "import os, subprocess, sys; e = sys.argv[1]; d = '/root/' + e; os.makedirs(d + '/.git'); "
            "open(d + '/' + e, 'w').write('x' * 3000000); os.makedirs('/root/x/' + e + '.dist-info'); "
            "os.symlink('/bin/sleep', '/tmp/' + e); "
            "p = subprocess.Popen(['/tmp/' + e, '600'], stdout=open(d + '/held' + e, 'w'), stderr=subprocess.DEVNULL, start_new_session=True)", evil)
        wait_for(lambda: self.inside("packet-agent", "status").returncode == 0, what="the agent")
        self.inside("packet-agent", "boot")
        for command in COMMANDS + [["storage", f"/root/{evil}/{evil}"], ["doctor", evil], ["exec", "--", f"/nowhere/{evil}"]]:
            result = self.inside("packet-agent", *command)
            for text in (result.stdout, result.stderr):
                raw = sorted({hex(ord(c)) for c in text if ord(c) < 0x20 and c not in "\n\t" or 0x7f <= ord(c) < 0xa0 or c == "\u202e"})
                # JSON escapes controls below 0x20 itself; programs read the rest.
                if "--json" in command or "json" in command:
                    raw = [c for c in raw if int(c, 16) < 0x20]
                self.assertEqual(raw, [], f"{command}: {text!r}")
        login = self.inside("bash", "-lic", "true").stdout
        self.assertNotIn("\x9b", login)
        self.assertIn("\\x1b", self.inside("packet-agent", "gpu").stdout + self.inside("packet-agent", "at-risk").stdout)


class Certificates(EndToEnd):
    """Only a certificate that a trusted authority gave to that name gets the token, whatever else is wrong with it."""

    def authority(self, name):
        key, certificate = self.directory / f"{name}.key", self.directory / f"{name}.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                     "-subj", f"/CN={name}", "-keyout", key, "-out", certificate)
        return key, certificate

    def openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def issue(self, authority, subject, days=2):
        key, request, certificate, names = (self.directory / f"leaf.{end}" for end in ("key", "csr", "pem", "ext"))
        names.write_text(f"subjectAltName = {subject}\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x",
                     "-keyout", key, "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", authority[1], "-CAkey", authority[0], "-CAcreateserial",
                     "-days", str(days), "-extfile", names, "-out", certificate)
        return key, certificate

    def ask(self, leaf, ca_file=""):
        """What reached the server, and what the agent says."""
        seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append(self.headers.get("Authorization"))
                self.send_error(503)

            do_PUT = do_GET = do_POST

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf[1], leaf[0])
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        # Refused handshakes are what is wanted.
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            token = self.directory / "token"
            token.touch(0o600)
            token.write_text("t0ken")
            result = self.agent(
                "snapshot", "list", PACKET_AGENT_CONTROL_PLANE_URL=f"https://localhost:{server.server_port}",
                PACKET_AGENT_CONTROL_PLANE_POD_UID="p", PACKET_AGENT_CONTROL_PLANE_TOKEN_FILE=str(token),
                PACKET_AGENT_CONTROL_PLANE_CA_FILE=str(ca_file))
            self.assertNotEqual(result.returncode, 0)
            return seen, result.stderr.decode()
        finally:
            server.shutdown()
            server.server_close()

    def test_only_a_trusted_certificate_of_that_name_gets_the_token(self):
        ours, theirs = self.authority("ours"), self.authority("theirs")
        good = self.issue(ours, "DNS:localhost")
        self.assertEqual(self.ask(good, ours[1])[0], ["Bearer t0ken"], "the good one")
        for what, leaf, ca_file in [
            ("no authority is configured", good, ""),
            ("another authority", good, theirs[1]),
            ("self-signed", theirs, ours[1]),
        ]:
            seen, said = self.ask(leaf, ca_file)
            self.assertEqual(seen, [], what)
            self.assertIn("cannot be reached", said, what)
        for what, subject in [("another name", "DNS:evil.example"), ("another address", "IP:127.0.0.2"), ("part of it", "DNS:local")]:
            seen, said = self.ask(self.issue(ours, subject), ours[1])
            self.assertEqual(seen, [], what)
        expired = self.issue(ours, "DNS:localhost", -1)
        self.assertEqual(self.ask(expired, ours[1])[0], [], "expired")


if __name__ == "__main__":
    unittest.main()
