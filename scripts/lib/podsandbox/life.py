"""A pod's life: the shim that holds it, its first process, its end.

    scripts/pod create -> shim (holds the locks, waits) -> PID 1 of the pod
                                                        -> FUSE server (outside the pod's namespaces)

One rule makes cleaning up simple: whoever dies takes its children along (PR_SET_PDEATHSIG). Until
the pod runs the shim dies with the command; always PID 1 and the FUSE server die with the shim. The
mounts, loop devices and the writable layer go with the mount namespace, which goes with PID 1.
"""

import errno
import json
import os
import select
import signal
import socket
import sys
import time
import traceback

from . import fuse, linux, root, users
from .errors import PodError
from .store import write_json


def start(pod, record, spec, command, init_program, locks):
    """Forks the shim and waits until PID 1 has been executed. `locks` are descriptors that the shim keeps."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    starter = os.getpid()
    child = os.fork()
    if child == 0:
        status = 125
        try:
            os.close(reader)
            status = _shim(pod, record, spec, command, init_program, locks, starter, writer)
        except BaseException as problem:
            _report(writer, problem)
        finally:
            os._exit(status)
    os.close(writer)
    for descriptor in locks:
        os.close(descriptor)
    with open(reader, "rb") as file:
        answer = json.loads(file.read() or b'{"error": "the shim was killed"}')
    if "error" in answer:
        os.waitpid(child, 0)
        with pod.store.exclusively():
            pod.remove()
        raise PodError(f"cannot create pod {pod.name}: {answer['error']}")
    return answer


def _report(writer, problem):
    known = isinstance(problem, (PodError, OSError))
    text = str(problem) if known else "".join(traceback.format_exception(problem))
    try:
        os.write(writer, json.dumps({"error": text}).encode())
    except OSError:
        pass


def _shim(pod, record, spec, command, init_program, locks, starter, writer):
    linux.die_with_parent(starter, signal.SIGKILL)
    os.setsid()
    os.umask(0o022)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    console = os.open(pod.file("console.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for source, target in ((null, 0), (console, 1), (console, 2)):
        os.dup2(source, target)  # also lets go of the caller's pipes
    _close_all_but({0, 1, 2, writer, *locks})

    shim = os.getpid()
    server, mounted_reader, mounted_writer = None, None, None
    if spec["volume"]["kind"] == "fuse":
        # Before unshare: a child made after it would be inside the pod's PID namespace.
        mounted_reader, mounted_writer = os.pipe()
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        spec["volume"]["descriptor"] = device
        server = os.fork()
        if server == 0:
            os.close(mounted_writer)
            fuse.serve(shim, device, spec["volume"], mounted_reader, spec["directory"])
        os.close(mounted_reader)

    linux.unshare(linux.CLONE_NEWPID)
    failure_reader, failure_writer = os.pipe()
    first = os.fork()
    if first == 0:
        try:
            os.close(failure_reader)
            _first_process(failure_writer, spec, command, init_program, mounted_writer)
        except BaseException as problem:
            _report(failure_writer, problem)
        os._exit(125)
    os.close(failure_writer)
    if server is not None:
        # Nobody but the server may keep the connection open: its death must be the connection's end.
        os.close(spec["volume"]["descriptor"])
        os.close(mounted_writer)
        record["fuse_server"] = [server, linux.process_stat(server)[2]]
    with open(failure_reader, "rb") as file:
        failure = file.read()  # ends when exec closes the other side
    if failure:
        os.write(writer, failure)
        if server is not None:
            os.kill(server, signal.SIGKILL)
        return 1

    started = linux.process_stat(first)
    record.update(pid=first, start_time=started[2] if started else 0, shim=shim)
    if server is not None:
        record["fuse_connection"] = fuse.connection_number(first, f"/mnt/{spec['volume']['name']}")
    pod.save(record)
    linux.die_with_parent(None, 0)
    if os.getppid() != starter:  # killed in between: the pod was never announced
        return 1
    os.write(writer, json.dumps({"pid": first}).encode())
    os.close(writer)

    status = _wait_for(first, server)
    write_json(pod.file("exit.json"), {"exit_code": status, "ended": time.time()})
    return 0


def _wait_for(first, server):
    """Reaps until PID 1 has ended; returns its exit code as a shell would show it."""
    while True:
        ended, status = os.wait()
        if ended == server:
            server = None
        elif ended == first:
            break
    if server is not None:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _close_all_but(kept):
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # the descriptor of the listing itself


def _first_process(failure_writer, spec, command, init_program, mounted_writer):
    """PID 1 of the pod, until it becomes the container's program."""
    linux.die_with_parent(None, signal.SIGKILL)
    # getppid() is always 0 here, the shim being outside of the PID namespace. That it died before the
    # line above shows in the pipe, of which it holds the other end.
    watch = select.poll()
    watch.register(failure_writer, 0)
    if watch.poll(0):
        os._exit(125)
    os.setsid()
    program = os.open(init_program, os.O_RDONLY | os.O_CLOEXEC) if init_program else None
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC)
    socket.sethostname(spec["hostname"])
    root.build(spec, lambda: os.write(mounted_writer, b"m"))

    uid, gid, groups, home, _ = users.look_up(spec["user"])
    environment = users.container_environment(spec["hostname"], spec["environment"])
    environment.setdefault("HOME", home)
    become_container_process(spec["privileged"], uid, gid, groups)
    linux.die_with_parent(None, signal.SIGKILL)  # a change of user clears it
    if program is not None:
        linux.execute(program, ["pod-init", *(["--", *command] if command else [])], environment)
    execute_command(command, environment)


def become_container_process(privileged, uid, gid, groups):
    """Capabilities, user, signals and umask of a container's process; the next step is exec."""
    if not privileged:
        linux.keep_only_container_capabilities()
    users.become(uid, gid, groups)
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # SIGKILL, SIGSTOP, and those that the C library keeps
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)


def execute_command(command, environment):
    """Becomes the command; says 127 or 126 when it cannot, as a container runtime does."""
    try:
        os.execvpe(command[0], command, environment)
    except OSError as problem:
        code = 127 if problem.errno in (errno.ENOENT, errno.ENOTDIR) else 126
        raise PodError(f"cannot run {command[0]}: {problem.strerror}", code) from None


# --- the end -------------------------------------------------------------------------------------


def terminate(pod, grace):
    """SIGTERM to PID 1, the grace period, SIGKILL; then everything of the pod but its volume is deleted."""
    record = pod.record()
    pid, start_time = record.get("pid"), record.get("start_time")
    if pid and linux.kill_process(pid, start_time, signal.SIGTERM):
        deadline = time.monotonic() + grace
        while linux.is_same_process(pid, start_time) and time.monotonic() < deadline:
            if linux.is_exiting(pid):
                # It waits for its processes; one of them may hang in a FUSE request that nothing but
                # the end of the connection can interrupt.
                break
            time.sleep(0.02)
    kill(pod, record)


def kill(pod, record):
    """Ends a pod for certain, in the order that leaves nothing hanging: FUSE connection, PID 1, shim."""
    pid, start_time = record.get("pid"), record.get("start_time")
    exiting_by_itself = pid and linux.is_exiting(pid)
    if exiting_by_itself and record.get("fuse_server"):
        _wait_until(pod.is_gone, 1)  # most often nothing hangs
    fuse.end(record)
    if pid:
        linux.kill_process(pid, start_time, signal.SIGKILL)
    if not _wait_until(pod.is_gone, 10):
        # PID 1 is dead or was never started; what remains is a shim (or a creation) to be ended.
        for holder in _holders(pod):
            os.kill(holder, signal.SIGKILL)
        if not _wait_until(pod.is_gone, 10):
            raise PodError(f"pod {pod.name} does not end: PID {pid} of the node is stuck, see /proc/{pid}/stack")
    volume = pod.store.volume(record["volume_id"]) if record.get("volume_id") else None
    if volume and os.path.exists(volume.image):
        linux.wait_until_detached(volume.image, pod.store.nodes, 10)
    with pod.store.exclusively():
        pod.remove()


def _holders(pod):
    """Processes with the pod's lock file open: its shim, or the command that still creates it."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            # Names only: a stat of another pod's open file may hang in its FUSE server.
            links = [os.readlink(f"/proc/{name}/fd/{number}") for number in os.listdir(f"/proc/{name}/fd")]
        except OSError:
            continue
        if pod.lock in links:
            found.append(int(name))
    return found


def _wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
