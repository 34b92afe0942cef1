"""exec and enter: a process of ours that joins the pod, with the container's environment and nothing of the node's."""

import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios
import tty

from . import life, linux, users
from .errors import PodError

_NAMESPACES = linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC
_SHELLS = ("/bin/bash", "/bin/sh")
_END_OF_INPUT, _ENDS = b"\x04", 6  # as typed; how often it is repeated to a terminal that stays quiet


def execute(record, command, user, variables, terminal):
    """Runs the command in the pod; returns its exit code, 128 + N when signal N ended it.

    125: the sandbox could not start it; 126: it cannot be executed; 127: there is no such command.
    """
    descriptor = os.pidfd_open(record["pid"])
    if not linux.is_same_process(record["pid"], record["start_time"]):
        raise PodError("the pod has just ended", 125)
    ours, theirs = socket.socketpair() if terminal else (None, None)
    linux.setns(descriptor, linux.CLONE_NEWPID)  # for children only
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 125
        try:
            if ours:
                ours.close()
            _become(record, descriptor, command, user, variables, theirs)
        except (PodError, OSError) as problem:
            code = getattr(problem, "code", 1)
            code = 125 if code == 1 else code
            os.write(2, f"scripts/pod: {problem}\n".encode())
        finally:
            os._exit(code)
    os.close(descriptor)
    if terminal:
        theirs.close()
        _relay(ours, child)
    else:
        _forward_signals(child)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _become(record, descriptor, command, user, variables, terminal_socket):
    linux.die_with_parent(None, signal.SIGKILL)
    linux.setns(descriptor, _NAMESPACES)
    os.chdir("/")
    uid, gid, groups, home, shell = users.look_up(user or record["user"])
    environment = users.container_environment(record["hostname"], {**record["environment"], **variables})
    if user or "HOME" not in environment:
        environment["HOME"] = variables.get("HOME", home)
    if terminal_socket:
        environment.setdefault("TERM", "xterm")
        _take_terminal(terminal_socket, uid)
    if command is None:
        shell = next((path for path in (shell, *_SHELLS) if path and os.access(path, os.X_OK)), _SHELLS[-1])
        command = [shell, "-l"]
        environment.update(SHELL=shell)
        try:
            os.chdir(environment["HOME"])
        except OSError:
            pass
    os.closerange(3, 1 << 16)
    life.become_container_process(record["privileged"], uid, gid, groups)
    linux.die_with_parent(None, signal.SIGKILL)  # a change of user clears it
    life.execute_command(command, environment)


def _take_terminal(terminal_socket, uid):
    """A terminal of the pod's own devpts: its name is valid inside, as with kubectl exec -it."""
    master, slave = os.openpty()
    socket.send_fds(terminal_socket, [b"t"], [master])
    terminal_socket.close()
    os.close(master)
    os.fchown(slave, uid, 5)
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in (0, 1, 2):
        os.dup2(slave, number)


def _forward_signals(child):
    def forward(number, _):
        try:
            os.kill(child, number)
        except ProcessLookupError:
            pass

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, forward)
    for number in (signal.SIGINT, signal.SIGQUIT):
        # A terminal sends these to the child too, being in the same foreground group.
        signal.signal(number, signal.SIG_IGN if os.isatty(0) else forward)


def _relay(ours, child):
    """Copies between our standard streams and the pod's terminal until the pod's side is closed."""
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    if not descriptors:
        return  # the child has said why
    master = descriptors[0]
    _forward_signals(child)
    saved = termios.tcgetattr(0) if os.isatty(0) else None

    def resize(*_):
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)

    if saved:
        resize()
        signal.signal(signal.SIGWINCH, resize)
        tty.setraw(0)
    else:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    try:
        watched, ends, idle = [0, master], 0, None
        while True:
            ready, _, _ = select.select(watched, [], [], idle)
            if not ready:
                # A shell that was just setting its terminal up has lost the last one.
                _write_all(master, _END_OF_INPUT)
                ends += 1
                idle = 0.2 * 2**ends if ends < _ENDS else None
            if 0 in ready:
                data = os.read(0, 65536)
                if data:
                    _write_all(master, data)
                else:
                    watched.remove(0)
                    _write_all(master, _END_OF_INPUT)
                    idle = 0.2
            if master in ready:
                try:
                    data = os.read(master, 65536)
                except OSError as problem:
                    if problem.errno != errno.EIO:
                        raise
                    data = b""  # EIO: nobody has the terminal open any more
                if not data:
                    return
                _write_all(1, data)
    finally:
        if saved:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
        os.close(master)


def _write_all(descriptor, data):
    while data:
        data = data[os.write(descriptor, data) :]
