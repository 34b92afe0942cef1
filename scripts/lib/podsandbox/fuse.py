"""The FUSE server of a pod's volume: started outside the pod, made to hang, ended.

A request that the server has read and not answered cannot be interrupted, not even by SIGKILL of the
process that waits. Only the end of the connection frees it: the server's death (it alone holds the
descriptor) or an abort through the fusectl file system.
"""

import os
import signal
import time

from . import linux
from .errors import PodError

CONTROLS = ("hang-unread", "hang-read", "resume", "kill")
_CONNECTIONS = "/sys/fs/fuse/connections"


def serve(shim, device, volume, mounted, log_directory):
    """Runs in the server's own process: waits for the mount, then becomes the server. Never returns."""
    try:
        linux.die_with_parent(shim, signal.SIGKILL)
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if os.read(mounted, 1) == b"m":
            os.set_inheritable(device, True)
            environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            os.execve(volume["program"], ["pod-fuse", volume["tree"], str(device)], environment)
    finally:
        os._exit(125)


def connection_number(pid, mount_point):
    """The connection's number under /sys/fs/fuse/connections: the minor of the mount's device.

    mountinfo is safe to read whatever the server does.
    """
    try:
        with open(f"/proc/{pid}/mountinfo") as file:
            rows = [line.split(" ") for line in file]
    except OSError:
        return None
    for row in reversed(rows):
        if row[4] == mount_point and row[row.index("-", 6) + 1].startswith("fuse"):
            return int(row[2].partition(":")[2])
    return None


def control(record, action):
    server = record.get("fuse_server")
    if not server:
        raise PodError("this pod has no FUSE volume: create it with --volume fuse:SUBTYPE")
    if not linux.is_same_process(*server):
        raise PodError("the FUSE server of this pod is dead; a new pod gets a new one")
    if action == "hang-unread":
        signals = [signal.SIGSTOP]
    elif action == "hang-read":
        signals = [signal.SIGUSR1]
    elif action == "resume":
        signals = [signal.SIGUSR2, signal.SIGCONT]
    else:
        signals = [signal.SIGKILL]
    for number in signals:
        linux.kill_process(*server, number)
    if action == "hang-unread":
        _wait_for_state(server[0], "T")
    elif action == "hang-read":
        # The server says itself when no later request will be answered: by the name of its main thread.
        _wait_for_name(server[0], "pod-fuse:held")
    elif action == "resume":
        _wait_for_name(server[0], "pod-fuse")
    else:
        deadline = time.monotonic() + 5
        while linux.is_same_process(*server) and time.monotonic() < deadline:
            time.sleep(0.005)


def _wait_for_state(pid, letter):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = linux.process_stat(pid)
        if found is None or found[0] == letter:
            return
        time.sleep(0.005)


def _wait_for_name(pid, name):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/comm") as file:
                if file.read().strip() == name:
                    return
        except OSError:
            return
        time.sleep(0.005)
    raise PodError(f"the FUSE server (PID {pid}) did not react to the signal within 5 s")


def end(record):
    """Aborts the connection of a pod that is to be killed, then kills its server."""
    server = record.get("fuse_server")
    if not server or not linux.is_same_process(*server):
        return
    if record.get("fuse_connection") is not None:
        _abort(record["fuse_connection"])
    linux.kill_process(*server, signal.SIGKILL)


def _abort(number):
    """echo 1 > connections/N/abort, in a child: where nobody mounted fusectl it does so for itself only."""
    child = os.fork()
    if child == 0:
        try:
            if not os.path.isdir(os.path.join(_CONNECTIONS, str(number))):
                linux.unshare(linux.CLONE_NEWNS)
                linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
                linux.mount("fusectl", _CONNECTIONS, "fusectl")
            with open(os.path.join(_CONNECTIONS, str(number), "abort"), "w") as file:
                file.write("1\n")
        except OSError:
            pass  # the connection is gone, or /sys is not ours: killing the server does the same
        finally:
            os._exit(0)
    os.waitpid(child, 0)
