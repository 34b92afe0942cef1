"""packet-agent init, tini and dumb-init through the same scenarios: scripts/test-init.

packet-agent must do what each scenario says. What every program did is a table in docs/entrypoint.md; a run that finds
anything else fails, so that the table stays true. INIT_WRITE_TABLE=1 writes it.
"""

import os
import pathlib
import signal
import subprocess
import unittest

import programs
from programs import Program, children, field, wait_for
from scenarios import SCENARIOS

DOCUMENT = programs.ROOT / "docs" / "entrypoint.md"
BEGIN, END = "<!-- scripts/test-init -->", "<!-- end -->"
WANTED = os.environ.get("INIT_PROGRAMS", "packet-agent tini dumb-init").split()


def table_rows():
    text = DOCUMENT.read_text()
    lines = text[text.index(BEGIN):text.index(END)].splitlines()[3:]
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}


def together(as_pid1, otherwise):
    if as_pid1 == otherwise or otherwise == "-":
        return as_pid1
    return otherwise if as_pid1 == "-" else f"{as_pid1}; not PID 1: {otherwise}"


class Torture(unittest.TestCase):
    """One test for each scenario and program, made below."""

    measured = {}

    def measure(self, name, title, expected, function):
        words = []
        for is_pid1 in (True, False):
            program = Program(name, is_pid1)
            try:
                words.append(function(program))
            finally:
                program.close()
            if program.is_ours and words[-1] != "-":
                self.assertEqual(words[-1], expected, f"as {'PID 1' if is_pid1 else 'an ordinary process'}")
        cell = together(*words)
        self.measured[title, name] = cell
        if not os.environ.get("INIT_WRITE_TABLE") and not function.is_race:
            column = ["packet-agent", "tini", "dumb-init"].index(name)
            self.assertEqual(cell, table_rows()[title][column], f"{name}: {title}")

    @classmethod
    def tearDownClass(cls):
        if not os.environ.get("INIT_WRITE_TABLE"):
            return
        names = ["packet-agent", "tini", "dumb-init"]
        lines = [BEGIN, "| | " + " | ".join(["`packet-agent init`", "`tini -g`", "`dumb-init`"]) + " |", "|---|---|---|---|"]
        lines += ["| " + " | ".join([title] + [cls.measured[title, name] for name in names]) + " |" for title, _, _ in SCENARIOS]
        text = DOCUMENT.read_text()
        DOCUMENT.write_text(text[:text.index(BEGIN)] + "\n".join(lines) + "\n" + text[text.index(END):])


for name in WANTED:
    for title, expected, function in SCENARIOS:
        setattr(
            Torture, f"test_{function.__name__}_{name.replace('-', '_')}",
            lambda self, values=(name, title, expected, function): self.measure(*values))


@unittest.skipUnless("packet-agent" in WANTED, "only packet-agent has an agent beside the command")
class Agent(unittest.TestCase):
    """The agent beside the command: whatever it does, the command goes on."""

    def setUp(self):
        self.program = Program("packet-agent", True)
        self.addCleanup(self.program.close)
        self.directory = self.program.directory

    def until(self, path, count):
        """A command that ends with 7 when the file has so many lines."""
        return ["sh", "-c", f"while [ \"$(wc -l 2>/dev/null <{path} || echo 0)\" -lt {count} ]; do sleep 0.01; done; exit 7"]


@unittest.skipIf(programs.AGENT, "needs a stand-in for the agent")
class StandInAgent(Agent):
    def test_variables_are_set_and_the_containers_kept(self):
        agent = "case $1 in probe) printf 'HF_HOME=/mnt/\\377v\\0PATH=/mnt/bin:%s\\0\\0' \"$PATH\" ;; run) exec sleep 1000 ;; esac"
        code, output, _ = self.program.run(
            ["sh", "-c", "printf '%s|%s|%s' \"$HF_HOME\" \"$PATH\" \"$MINE\""], agent=agent,
            env={"PATH": os.environ["PATH"], "MINE": "kept"})
        self.assertEqual((code, output), (0, b"/mnt/\xffv|/mnt/bin:" + os.fsencode(os.environ["PATH"]) + b"|kept"))

    def test_an_answer_longer_than_a_pipe(self):
        agent = ("case $1 in probe) i=0; while [ $i -lt 50 ]; do printf 'V%d=' $i; head -c 8000 /dev/zero | tr '\\0' x;"
                 " printf '\\0'; i=$((i+1)); done; printf '\\0' ;; run) exec sleep 1000 ;; esac")
        code, output, errors = self.program.run(["sh", "-c", "printf %s \"$V49\" | wc -c"], agent=agent)
        self.assertEqual((code, output.strip(), errors), (0, b"8000", b""))

    def test_an_agent_that_traps_hangs_or_lies_costs_only_the_variables(self):
        for what, reason in [
            ("kill -ILL $$", b"signal 4"), ("exit 2", b"status 2"), ("printf 'A=1\\n'", b"not understood"),
            ("printf 'A=1\\0'", b"not understood"), ("exec yes", b"within 1 s"), ("sleep 1000", b"within 1 s"),
            ("trap '' TERM; sleep 1000 & sleep 1000", b"within 1 s"),
        ]:
            with self.subTest(what):
                agent = f"case $1 in probe) {what} ;; run) exec sleep 1000 ;; esac"
                code, output, errors = self.program.run(
                    ["sh", "-c", "echo ${A-unset}; exit 7"], agent=agent, options=["--answer-ms", "1000"])
                self.assertEqual((code, output), (7, b"unset\n"))
                self.assertEqual(errors.count(b"\n"), 1)
                self.assertIn(reason, errors)

    def test_sigterm_while_the_variables_are_asked_for(self):
        mark = self.directory / "mark"
        agent = f"case $1 in probe) echo >{mark}; sleep 1000 ;; esac"
        process = self.program.start(["touch", f"{mark}.command"], agent=agent, options=["--answer-ms", "600000"])
        wait_for(mark.exists)
        os.kill(self.program.init_of(process), signal.SIGTERM)
        process.wait(10)
        self.assertEqual(Program.status(process), 143)
        self.assertFalse(pathlib.Path(f"{mark}.command").exists())

    def test_a_daemon_that_crashes_again_and_again(self):
        starts = self.directory / "starts"
        agent = f"case $1 in probe) printf '\\0' ;; run) echo >>{starts}; kill -SEGV $$ ;; esac"
        code, _, errors = self.program.run(
            self.until(starts, 8), agent=agent, options=["--shortest-pause-ms", "10", "--longest-pause-ms", "80"])
        self.assertEqual(code, 7)
        # Told while the pause grows: 10, 20, 40, 80 ms.
        self.assertEqual(errors.count(b"signal 11"), 4)

    def test_a_daemon_that_cannot_run_is_left_after_three_starts(self):
        starts, left = self.directory / "starts", self.directory / "left"
        agent = f"case $1 in probe) printf '\\0' ;; run) echo >>{starts}; exit 2 ;; esac"
        process = self.program.start(
            self.until(left, 1), agent=agent, options=["--shortest-pause-ms", "10", "--longest-pause-ms", "80"])
        self.assertTrue(any(b"left off" in line for line in iter(process.stderr.readline, b"")))
        left.write_text("\n")
        process.wait(10)
        self.assertEqual((Program.status(process), starts.read_text()), (7, "\n\n\n"))

    def test_a_daemon_that_ignores_sigterm_is_killed(self):
        ready = self.directory / "ready"
        agent = f"case $1 in probe) printf '\\0' ;; run) trap '' TERM; echo >{ready}; while :; do sleep 0.05; done ;; esac"
        code, _, errors = self.program.run(self.until(ready, 1), agent=agent, options=["--stop-ms", "200"])
        self.assertEqual(code, 7)
        self.assertIn(b"was killed", errors)

    def test_the_daemon_is_waited_for_and_its_end_is_not_the_commands(self):
        ready, durable = self.directory / "ready", self.directory / "durable"
        agent = (f"case $1 in probe) printf '\\0' ;; run) trap 'sleep 0.3; echo >{durable}; exit 9' TERM; echo >{ready};"
                 " while :; do sleep 0.05; done ;; esac")
        code, _, _ = self.program.run(self.until(ready, 1), agent=agent)
        self.assertEqual((code, durable.exists()), (7, True))

    def test_the_daemon_has_nothing_of_the_commands(self):
        seen = self.directory / "seen"
        agent = (f"case $1 in probe) printf '\\0' ;; run) {{ ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0;"
                 f" grep SigIgn /proc/self/status; echo ${{NOTIFY_SOCKET-none}}; readlink /proc/self/fd/1 /proc/self/fd/2; }} >{seen}.new 2>&1;"
                 f" mv {seen}.new {seen}; exec sleep 1000 ;; esac")
        read, write = os.pipe()
        self.program.run(
            ["sh", "-c", f"while [ ! -e {seen} ]; do sleep 0.01; done; echo \"$NOTIFY_SOCKET\""], agent=agent, pass_fds=[read, write],
            env={**os.environ, "NOTIFY_SOCKET": "/run/notify"},
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        os.close(read)
        os.close(write)
        lines = seen.read_text().split("\n")
        self.assertEqual(lines[0], "0 1 2 3 /dev/null")
        self.assertIn("0000000000000000", lines[1])
        self.assertEqual(lines[2], "none")

    def test_nobody_reads_its_standard_error(self):
        starts = self.directory / "starts"
        agent = f"case $1 in probe) exit 1 ;; run) echo >>{starts}; exit 1 ;; esac"
        read, write = os.pipe()
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(write, True)
        process = subprocess.Popen(
            self.program.command_line(self.until(starts, 3), agent, ["--shortest-pause-ms", "10"]), stdin=subprocess.DEVNULL,
            stderr=write, start_new_session=True)
        self.assertEqual(process.wait(20), 7)
        os.close(read)
        os.close(write)


class AnyAgent(Agent):
    def test_resident_memory_is_at_most_8_mib(self):
        limit = dict(
            line.split(" = ") for line in (programs.ROOT / "Budgets" / "entrypoint").read_text().splitlines()
            if " = " in line)["resident_kib"]
        process = self.program.start(["sleep", "60"])
        init = self.program.init_of(process)
        wait_for(lambda: len(children(init)) == 2, what="the command and the daemon")
        resident = lambda: int(field(init, "VmRSS").split()[0])
        wait_for(lambda: resident() <= int(limit), 10, f"at most {limit} KiB (now {resident()})")
        print(f"resident {resident()} KiB, anonymous {field(init, 'RssAnon')}, threads {field(init, 'Threads')}")
        self.assertEqual(field(init, "Threads"), "1")

    def test_a_daemon_that_is_killed_comes_back_and_the_command_goes_on(self):
        end = self.directory / "end"
        process = self.program.start(self.until(end, 1))
        init = self.program.init_of(process)
        # In PID name spaces the command is no leader of a session, the daemon is.
        daemon = lambda: [pid for pid in children(init) if os.getsid(pid) == pid]
        wait_for(lambda: len(children(init)) == 2, what="the command and the daemon")
        first = wait_for(daemon, what="the daemon's session")[0]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: [pid for pid in daemon() if pid != first], what="another daemon")
        self.assertIsNone(process.poll())
        end.write_text("\n")
        process.wait(30)
        self.assertEqual(Program.status(process), 7)


del Agent

if __name__ == "__main__":
    unittest.main()
