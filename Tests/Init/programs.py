"""The init programs under test, each as PID 1 of a PID name space of its own and as an ordinary process."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TORTURE = os.environ.get("INIT_TORTURE", "")
HARNESS = os.environ.get("INIT_HARNESS", "")
AGENT = os.environ.get("INIT_AGENT", "")

# Orphans that an init passes up must not be lost among the machine's own processes: they become ours and are reaped.
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

if AGENT:
    # The real agent, kept to a directory of its own and away from this machine's sessions, volumes and GPUs.
    _own = tempfile.TemporaryDirectory(prefix="packet-init-agent.")
    os.environ.update({
        "PACKET_AGENT_CONFIG": _own.name + "/config.toml",
        "PACKET_AGENT_AGENT_STATE_DIRECTORY": _own.name + "/state",
        "PACKET_AGENT_AGENT_RUNTIME_DIRECTORY": _own.name + "/run",
        "PACKET_AGENT_ENVIRONMENT_ENABLED": "false",
        "PACKET_AGENT_SETUP_ENABLED": "false",
        "PACKET_AGENT_GPU_ENABLED": "false",
    })

# An agent that works: no variables, and a daemon that ends when it is asked to.
GOOD = "case $1 in probe) printf '\\0' ;; run) exec sleep 1000 ;; esac"


def wait_for(condition, seconds=30, what="the condition"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"{what} did not come true within {seconds} s")


def field(pid, name):
    """A field of /proc/PID/status as text; empty when the process is gone."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return line.split(":", 1)[1].strip()
    return ""


def children(pid):
    with contextlib.suppress(OSError):
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Program:
    """One init program in one mode."""

    def __init__(self, name, is_pid1):
        self.name = name
        self.is_pid1 = is_pid1
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="packet-init."))
        self.started = []

    def close(self):
        for process in self.started:
            for pid in [process.init, process.pid] if process.poll() is None else []:
                with contextlib.suppress(ProcessLookupError, TypeError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        # What an init left to us.
        while left := children(os.getpid()):
            for pid in left:
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def is_ours(self):
        return self.name == "packet-agent"

    def words(self, agent=GOOD, options=()):
        """The program with its options, as its users would give them, up to the command."""
        if self.name == "tini":
            # -g: to the whole group; -s: subreaper.
            return ["tini", "-g"] + ([] if self.is_pid1 else ["-s"]) + ["--"]
        if self.name == "dumb-init":
            return ["dumb-init", "--"]
        if AGENT:
            return [AGENT, "init", "--"]
        # One file for each text, because one that is being executed cannot be written.
        script = self.directory / f"agent-{zlib.crc32(agent.encode())}"
        if not script.exists():
            script.write_text("#!/bin/sh\n" + agent + "\n")
            script.chmod(0o755)
        return [HARNESS, "--agent", str(script), *options, "--"]

    def command_line(self, command, agent=GOOD, options=(), inside=()):
        words = list(inside) + self.words(agent, options) + list(command)
        return ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *words] if self.is_pid1 else words

    def start(self, command, agent=GOOD, options=(), inside=(), **more):
        process = subprocess.Popen(
            self.command_line(command, agent, options, inside), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, **more)
        process.init = None if self.is_pid1 else process.pid
        self.started.append(process)
        return process

    def init_of(self, process):
        """The init's PID as we see it, once it is one: unshare's child, after execve(2)."""
        if self.is_pid1 and process.init is None:
            process.init = wait_for(lambda: next(iter(children(process.pid)), None), what="a child of unshare")
        name = pathlib.Path(self.words()[0]).name[:15]
        wait_for(lambda: field(process.init, "Name") == name or process.poll() is not None, what=f"the start of {name}")
        return process.init

    def run(self, command, agent=GOOD, options=(), inside=(), timeout=60, **more):
        """Runs to the end: (status as a shell shows it, standard output, standard error)."""
        process = self.start(command, agent, options, inside, **more)
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return None, b"", b"time is up"
        return self.status(process), output, errors

    @staticmethod
    def status(process):
        return process.returncode if process.returncode >= 0 else 128 - process.returncode
