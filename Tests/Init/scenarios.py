"""What every init is put through. Each scenario says in a few words what happened: the words are the table's cells."""

import mmap
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time

from programs import TORTURE, children, field, wait_for

PYTHON = [sys.executable, "-I", "-S", "-c"]
SCENARIOS = []


def scenario(title, expected, is_race=False):
    """Registers a scenario; `expected` is what packet-agent must do. A race goes well for the others now and then."""

    def register(function):
        function.is_race = is_race
        SCENARIOS.append((title, expected, function))
        return function

    return register


def counted(good, of):
    return "all" if good == of else f"{good} of {of}"


@scenario("exit codes 0 to 255", "all")
def exit_codes(program):
    return counted(sum(program.run(["sh", "-c", f"exit {code}"])[0] == code for code in range(256)), 256)


@scenario("ended by a signal: 128 + number", "all")
def signal_codes(program):
    names = "HUP INT QUIT ILL ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM XCPU SYS".split()
    good = sum(
        program.run(["sh", "-c", f"ulimit -c 0; kill -{name} $$"])[0] == 128 + getattr(signal, "SIG" + name)
        for name in names)
    return counted(good, len(names))


@scenario("not executable, not found, a script without #!", "126, 127, 5")
def cannot_run(program):
    script = program.directory / "script"
    script.write_text("exit 5\n")
    script.chmod(0o755)
    return ", ".join(str(program.run([word])[0]) for word in ["/etc/passwd", "no-such-command", str(script)])


@scenario("10,000 short children, double forked", "0 zombies left, orphans go to it")
def orphans(program):
    inside = [] if program.is_pid1 else [TORTURE, "adopt"]
    code, output, errors = program.run([TORTURE, "orphans", "10000"], inside=inside, timeout=120)
    return output.decode().strip() or f"ended with {code} {errors.decode().strip()}"


class Listener:
    """`torture listen` under an init: a command, its child and its grandchild that count signals."""

    def __init__(self, program, inside=()):
        self.directory = pathlib.Path(tempfile.mkdtemp(dir=program.directory))
        self.process = program.start([TORTURE, "listen", str(self.directory)], inside=inside)
        wait_for((self.directory / "ready").exists, what="three listeners")
        self.init = program.init_of(self.process)
        with open(self.directory / "counters", "rb") as file:
            self.map = mmap.mmap(file.fileno(), 3 * 65 * 4, prot=mmap.PROT_READ)

    def count(self, who, number):
        return struct.unpack_from("I", self.map, (who * 65 + number) * 4)[0]

    def reaches(self, number, count, seconds=5, who=range(3)):
        deadline = time.monotonic() + seconds
        while not all(self.count(one, number) >= count for one in who):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0001)
        return True

    def end(self):
        (self.directory / "stop").touch()
        os.kill(self.init, signal.SIGCONT)
        self.process.wait(30)


FORWARDED = [number for number in range(1, 65) if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, 32, 33)]


@scenario("signals that reach the command, its child and grandchild", "all 59")
def forwarding(program):
    missing = []
    listener = Listener(program)
    for number in FORWARDED:
        # What an init does not forward may end it.
        if listener.process.poll() is not None:
            listener = Listener(program)
        os.kill(listener.init, number)
        if not listener.reaches(number, 1, seconds=1):
            missing.append(signal.Signals(number).name[3:] if number in iter(signal.Signals) else str(number))
        # dumb-init stops itself after it has forwarded a stop.
        if listener.process.poll() is None and number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            os.kill(listener.init, signal.SIGCONT)
    if listener.process.poll() is None:
        listener.end()
    return "all but " + " ".join(missing) if missing else f"all {len(FORWARDED)}"


@scenario("10,000 SIGUSR1, each awaited", "none lost")
def lockstep(program):
    listener = Listener(program)
    for index in range(10_000):
        os.kill(listener.init, signal.SIGUSR1)
        if not listener.reaches(signal.SIGUSR1, index + 1, who=[0]):
            return f"lost after {index}"
    listener.end()
    return "none lost"


@scenario("10,000 SIGUSR1 at once, then SIGUSR2", "both arrive")
def storm(program):
    listener = Listener(program)
    for _ in range(10_000):
        os.kill(listener.init, signal.SIGUSR1)
    os.kill(listener.init, signal.SIGUSR2)
    arrived = listener.reaches(signal.SIGUSR1, 1) and listener.reaches(signal.SIGUSR2, 1)
    listener.end()
    return "both arrive" if arrived and listener.process.returncode == 0 else "lost"


@scenario("10,000 real-time signals, queued by hundreds", "all")
def realtime(program):
    listener = Listener(program)
    for index in range(100):
        for _ in range(100):
            os.kill(listener.init, 40)
        if not listener.reaches(40, (index + 1) * 100, seconds=2, who=[0]):
            break
    count = listener.count(0, 40)
    listener.end()
    return counted(count, 10_000)


@scenario("SIGTERM as soon as it has a child, 50 times", "all end with 143", is_race=True)
def early_term(program):
    good = 0
    for _ in range(50):
        process = program.start(["sleep", "20"])
        init = program.init_of(process)
        # Before that PID 1 gets no signal at all (pid_namespaces(7)).
        wait_for(lambda: children(init), what="its first child")
        os.kill(init, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
        good += program.status(process) == 143
    return "all end with 143" if good == 50 else "some are lost"


@scenario("command stopped by SIGSTOP: orphans are reaped, SIGCONT, exit code", "reaped, 7")
def stopped(program):
    go, end = program.directory / "go", program.directory / "end"
    # The command, and an orphan of it that ends when `go` is there.
    script = f"""import os,sys,time
if os.fork() == 0:
    if os.fork() == 0:
        while not os.path.exists({str(go)!r}): time.sleep(0.005)
    os._exit(0)
os.wait()
while not os.path.exists({str(end)!r}): time.sleep(0.005)
sys.exit(7)"""
    process = program.start([*PYTHON, script])
    init = program.init_of(process)
    pythons = lambda: [pid for pid in children(init) if field(pid, "Name").startswith("python")]
    try:
        command, orphan = wait_for(lambda: len(pythons()) == 2 and pythons(), 2)
    except AssertionError:
        command, orphan = pythons()[0], None
    os.kill(command, signal.SIGSTOP)
    wait_for(lambda: field(command, "State").startswith("T"), what="the stop")
    go.touch()
    try:
        wait_for(lambda: not field(orphan, "State"), 2)
        word = "reaped" if orphan else "go to another"
    except AssertionError:
        word = "not reaped"
    end.touch()
    os.kill(command, signal.SIGCONT)
    process.wait(30)
    return f"{word}, {program.status(process)}"


@scenario("SIGTSTP to the init stops the command, SIGCONT continues it", "stopped, continued")
def forwarded_stop(program):
    process = program.start(["sleep", "60"])
    init = program.init_of(process)
    is_command = lambda pid: pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0060\0"
    command = wait_for(lambda: [pid for pid in children(init) if is_command(pid)], what="the command")[0]
    os.kill(init, signal.SIGTSTP)
    try:
        wait_for(lambda: field(command, "State").startswith("T"), 2)
        # It stays: nobody asked for more.
        time.sleep(0.1)
        words = ["stopped" if field(command, "State").startswith("T") else "continued by itself"]
    except AssertionError:
        words = ["not stopped"]
    os.kill(init, signal.SIGCONT)
    try:
        wait_for(lambda: field(command, "State").startswith("S"), 2)
        words.append("continued")
    except AssertionError:
        words.append("not continued")
    return ", ".join(words)


@scenario("what the command leaves in its group when it ends", "gets SIGTERM", is_race=True)
def left_behind(program):
    mark = program.directory / "mark"
    script = f"(trap 'echo TERM >{mark}; exit' TERM; echo >{mark}.ready; while :; do sleep 0.05; done) & while [ ! -e {mark}.ready ]; do sleep 0.01; done; exit 3"
    # A daemon that takes a moment, as the real one may.
    agent = "case $1 in probe) printf '\\0' ;; run) trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.05; done ;; esac"
    process = program.start(["sh", "-c", script], agent=agent)
    process.wait(30)
    code = program.status(process)
    try:
        wait_for(mark.exists, 1)
        word = "gets SIGTERM"
    except AssertionError:
        word = "gets nothing"
    return word if code == 3 else f"{word}, exit code {code}"


class Terminal:
    """A pseudo-terminal with a session on it."""

    def __init__(self, program, words):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.execvp(words[0], words)
            finally:
                os._exit(99)
        self.seen = b""
        self.program = program

    def expect(self, text, seconds=5):
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                return False
            try:
                data = os.read(self.master, 4096)
            except OSError:
                data = b""
            if not data:
                return False
            self.seen += data
        self.seen = self.seen[self.seen.index(text) + len(text):]
        return True

    def type(self, text):
        os.write(self.master, text)

    def status(self, seconds=5):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        return None

    def close(self):
        for pid in descendants(self.pid) + [self.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass
        os.close(self.master)


def descendants(pid):
    return [one for child in children(pid) for one in [child, *descendants(child)]]


def on_terminal(program, command):
    # A container runtime makes PID 1 the leader of the terminal's session.
    return Terminal(program, program.command_line(command, inside=["setsid", "--ctty"] if program.is_pid1 else []))


@scenario("on a terminal: the command reads from it, Ctrl-C ends it", "reads, 130")
def terminal(program):
    script = "import os,time\nprint('ready',os.tcgetpgrp(0)==os.getpgrp(),flush=True)\nprint('got',input(),flush=True)\ntime.sleep(60)"
    session = on_terminal(program, ["python3", "-I", "-S", "-c", "import signal;signal.signal(2,signal.SIG_DFL)\n" + script])
    try:
        if not session.expect(b"ready True"):
            return "not in the foreground"
        session.type(b"line\n")
        words = ["reads" if session.expect(b"got line") else "does not read"]
        session.type(b"\x03")
        words.append(str(session.status()))
        return ", ".join(words)
    finally:
        session.close()


@scenario("on a terminal: Ctrl-Z where there is no shell to continue", "goes on")
def suspended_without_shell(program):
    script = "import signal,time\nsignal.signal(2,signal.SIG_DFL)\nprint('ready',flush=True)\nwhile True: print('got',input(),flush=True)"
    session = on_terminal(program, ["python3", "-I", "-S", "-c", script])
    try:
        session.expect(b"ready")
        session.type(b"\x1a")
        time.sleep(0.3)
        session.type(b"line\n")
        return "goes on" if session.expect(b"got line", 2) else "stays stopped"
    finally:
        session.close()


@scenario("under an interactive shell: Ctrl-Z, fg, Ctrl-C, then the shell reads", "stopped, goes on, 130")
def job_control(program):
    if program.is_pid1:
        return "-"
    session = Terminal(program, ["bash", "--norc", "--noprofile", "-i"])
    try:
        session.type(b"PS1='$ '; stty -echo; echo shell-$((1+1))\n")
        session.expect(b"shell-2")
        script = "import signal;signal.signal(2,signal.SIG_DFL)\nprint('ready',flush=True)\nwhile True: print('got',input(),flush=True)"
        path = program.directory / "command.py"
        path.write_text(script)
        words = program.words() + ["python3", "-I", "-S", str(path)]
        session.type((" ".join(words) + "\n").encode())
        if not session.expect(b"ready"):
            return "does not start"
        session.type(b"\x1a")
        if not session.expect(b"Stopped", 2):
            return "the shell does not see the stop"
        result = ["stopped"]
        session.expect(b"$ ")
        session.type(b"fg\n")
        session.expect(b"command.py")
        session.type(b"line\n")
        result.append("goes on" if session.expect(b"got line", 2) else "does not go on")
        session.type(b"\x03")
        # Ctrl-C throws away what is typed right behind it (termios(3) NOFLSH).
        session.expect(b"$ ")
        session.type(b"echo code-$?\n")
        result.append("130" if session.expect(b"code-130") else "no shell")
        return ", ".join(result)
    finally:
        session.close()


@scenario("in a script on a terminal: the script can read after it", "reads")
def terminal_after(program):
    if program.is_pid1:
        return "-"
    line = " ".join(program.words() + ["true"])
    session = Terminal(program, ["sh", "-c", f"{line}; echo code-$?; read word; echo got-$word"])
    try:
        if not session.expect(b"code-0"):
            return "does not end"
        session.type(b"line\n")
        return "reads" if session.expect(b"got-line", 2) else "does not read"
    finally:
        session.close()


@scenario("bytes that are not UTF-8 in arguments and variables", "kept")
def bytes_kept(program):
    script = "import os,sys;sys.stdout.buffer.write(os.fsencode(sys.argv[1])+os.environb[b'ODD'])"
    output = program.run([*PYTHON, script, b"a\xff\xfe"], env={**os.environb, b"ODD": b"\xc3("})[1]
    return "kept" if output == b"a\xff\xfe\xc3(" else repr(output)


@scenario("the command's signal mask, ignored signals and descriptors", "as they came")
def inherited(program):
    show = "import os\nprint([l for l in open('/proc/self/status') if l[:6] in ('SigBlk','SigIgn')], sorted(map(int,os.listdir('/proc/self/fd')))[:5])"
    read, write = os.pipe()

    def prepare():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})

    direct = subprocess.run([*PYTHON, show], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[read, write],
                            preexec_fn=prepare, check=True).stdout
    output = program.run([*PYTHON, show], pass_fds=[read, write], preexec_fn=prepare)[1]
    os.close(read)
    os.close(write)
    return "as they came" if output == direct else "others"


@scenario("without /proc", "7")
def no_proc(program):
    if not program.is_pid1:
        return "-"
    inside = ["sh", "-c", "mount -t tmpfs tmpfs /proc && exec \"$@\"", "sh"]
    return str(program.run(["sh", "-c", "[ ! -e /proc/self ] && exit 7"], inside=inside)[0])


@scenario("on a read-only root", "7")
def read_only(program):
    if not program.is_pid1:
        return "-"
    inside = ["sh", "-c", "mount -o remount,bind,ro / && exec \"$@\"", "sh"]
    return str(program.run(["sh", "-c", "! touch /packet-init-test 2>/dev/null && exit 7"], inside=inside)[0])


@scenario("where prctl(2) is refused", "7")
def no_prctl(program):
    return str(program.run(["sh", "-c", "exit 7"], inside=[TORTURE, "without-prctl"])[0])
