"""The environment in a pod with real sessions of every kind: what sees it, and what is left after it is taken back."""

import subprocess

from support import wait_for
from test_pod import NAME, POD, Pod

# Everything in which sessions start, from Debian.
PACKAGES = [
    "cron", "openssh-server", "openssh-client", "tmux", "zsh", "fish", "python3-ipykernel", "python3-jupyter-client", "python3-terminado",
]
# Owners, modes, times and contents of everything that the layers may touch. Directories that gained and lost a file have new
# times, and sessions leave histories and sockets of their own.
TREES = "/etc /root /usr/local/lib /usr/lib/python3"
STATE = (
    f"find {TREES} -xdev -type d -printf '%p %m %U %G\\n' | grep -vE '/root/[.](cache|ipython|local|config|ssh)'; "
    f"find {TREES} -xdev ! -type d -printf '%p %y %m %U %G %T@ %s %l\\n' | grep -vE '/root/[.](cache|ipython|local|config|ssh)|_history'; "
    "find /etc -xdev -type f -exec sha256sum {} +"
)


class Environment(Pod):
    def prove(self):
        proof = self.document("env", "prove")
        return {session["title"]: session for session in proof["sessions"]}, proof

    def test_every_kind_of_session_sees_it_and_nothing_is_left_after_revert(self):
        self.create("--volume", "disk:64M", "--volume-name", NAME)
        install = self.inside(
            "sh", "-c", "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "
            + " ".join(PACKAGES))
        self.assertEqual(install.returncode, 0, install.stderr)
        # A user's own files, also where ours go.
        self.inside("sh", "-c", "printf 'SetEnv MINE=1\\n' >/etc/ssh/sshd_config.d/50-mine.conf; printf 'EDITOR=vi\\n' >>/etc/environment")
        self.inside("sh", "-c", "printf '\\nexport TORCH_HOME=/mnt/%s/mine\\n' >>/root/.profile" % NAME)
        self.inside("sh", "-c", "setsid cron -f >/dev/null 2>&1 &")
        before = set(self.inside("sh", "-c", STATE).stdout.splitlines())
        self.assertEqual(self.inside("packet-agent", "env", "apply").returncode, 0)
        again = self.inside("packet-agent", "env", "apply")
        self.assertIn("nothing to change", again.stdout)
        sessions, proof = self.prove()
        for title, session in sessions.items():
            if title == "systemd service":
                self.assertEqual(session["state"], "absent", session)
            elif title in ["bash -c", "bash script", "sh -c", "docker exec, kubectl exec"]:
                self.assertEqual(session["state"], "unreachable", session)
            else:
                self.assertEqual(session["state"], "sees", session)
        # What the user sets in a dotfile wins in the sessions that read it.
        self.assertEqual(sessions["bash -l"]["own"], ["TORCH_HOME"])
        self.assertEqual(proof["pod_spec"]["HF_HOME"], f"/mnt/{NAME}/huggingface")
        self.assertEqual(self.inside("packet-agent", "env", "revert").returncode, 0)
        after = set(self.inside("sh", "-c", STATE).stdout.splitlines())
        self.assertGreater(len(before), 1000)
        self.assertEqual((sorted(before - after), sorted(after - before)), ([], []))

    def test_the_lines_for_the_pod_specification_reach_every_process(self):
        self.create("--volume", "disk:64M", "--volume-name", NAME)
        self.assertEqual(self.inside("packet-agent", "env", "apply").returncode, 0)
        variables = self.document("env", "prove")["pod_spec"]
        self.terminate()
        # `pod create` starts the container with its own environment, as a pod specification does.
        self.create(
            "--volume", "disk:64M", "--volume-name", NAME, *[word for name in variables for word in ("--env", f"{name}={variables[name]}")])
        self.assertEqual(self.inside("packet-agent", "env", "apply").returncode, 0)
        sessions, _ = self.prove()
        for title in ["sh -c", "bash -c", "bash script", "docker exec, kubectl exec"]:
            missing = set(sessions[title]["missing"])
            # What depends on the user is Python's business, and bash's through BASH_ENV.
            self.assertLessEqual(missing, {"HF_TOKEN_PATH", "HF_XET_CACHE"}, sessions[title])

    def test_a_volume_that_stops_answering_takes_the_static_layers_out(self):
        self.configure('[storage]\nvolumes = ["/mnt/%s"]\n' % NAME)
        self.create("--volume", "fuse:juicefs", "--volume-name", NAME)
        self.assertEqual(self.inside("packet-agent", "env", "apply").returncode, 0)
        named = lambda: f"/mnt/{NAME}/" in (self.file("/etc/environment") or "")
        self.assertTrue(named())
        self.inside("sh", "-c", f"HF_HOME=/mnt/{NAME}/hf setsid sleep 1000 >/dev/null 2>&1 &")
        self.start_daemon()
        subprocess.run([POD, "fuse", NAME, "hang-unread"], check=True, stdout=subprocess.DEVNULL)
        wait_for(lambda: not named(), 150, "the daemon's look")
        login = self.inside("timeout", "2", "bash", "-lc", "echo login; env")
        self.assertEqual(login.returncode, 0, "a login waits for nothing")
        self.assertNotIn(f"/mnt/{NAME}/", login.stdout)
        gone = self.check("environment.volume-gone")
        self.assertEqual(gone["status"], "warn", gone)
        self.assertIn("sleep", gone["evidence"])
        subprocess.run([POD, "fuse", NAME, "resume"], check=True, stdout=subprocess.DEVNULL)
        wait_for(named, 150, "the layers to come back")


# The base class has no tests of its own; imported names would run twice.
del Pod
