"""The system calls Python's standard library lacks, and the loop device.

Numbers are from the kernel's user-space headers: linux/mount.h, linux/sched.h, linux/prctl.h,
linux/capability.h, linux/loop.h and asm/unistd_64.h.
"""

import ctypes
import errno
import fcntl
import os
import platform
import signal
import stat
import struct
import time

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 1 << 18
MNT_DETACH = 2

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x20000, 0x4000000, 0x8000000, 0x20000000

PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24

CAP_SYS_ADMIN, CAP_LAST = 21, 40
# The default set of containerd and Docker: a container's root is not the node's root.
CONTAINER_CAPABILITIES = {
    0,  # CAP_CHOWN
    1,  # CAP_DAC_OVERRIDE
    3,  # CAP_FOWNER
    4,  # CAP_FSETID
    5,  # CAP_KILL
    6,  # CAP_SETGID
    7,  # CAP_SETUID
    8,  # CAP_SETPCAP
    10,  # CAP_NET_BIND_SERVICE
    13,  # CAP_NET_RAW
    18,  # CAP_SYS_CHROOT
    27,  # CAP_MKNOD
    29,  # CAP_AUDIT_WRITE
    31,  # CAP_SETFCAP
}

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_EXECVEAT = {"x86_64": 322, "aarch64": 281}
_AT_EMPTY_PATH = 0x1000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.syscall.restype = ctypes.c_long


def _checked(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def mount(source, target, fstype, flags=0, data=""):
    _checked(
        _libc.mount(
            os.fsencode(source), os.fsencode(target), fstype.encode() if fstype else None, flags, os.fsencode(data)
        ),
        f"mount {fstype or source} on {target}",
    )


def bind(source, target, read_only=False, recursive=False):
    mount(source, target, None, MS_BIND | (MS_REC if recursive else 0))
    if read_only:
        # A bind keeps the source's flags; only a second call can make it read-only. The flags the
        # kernel has locked (nosuid, nodev, noexec) must be repeated or the remount clears them.
        flags = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
        mount("none", target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def umount_lazily(target):
    _checked(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def unshare(flags):
    _checked(_libc.unshare(flags), "unshare")


def setns(descriptor, flags):
    _checked(_libc.setns(descriptor, flags), "setns")


def pivot_root(new_root, put_old):
    number = _PIVOT_ROOT[platform.machine()]
    _checked(_libc.syscall(number, os.fsencode(new_root), os.fsencode(put_old)), f"pivot_root {new_root}")


def execute(descriptor, argv, environment):
    """execveat(2) of an open file: the program needs no name in the pod's root."""

    def strings(values):
        return (ctypes.c_char_p * (len(values) + 1))(*[os.fsencode(v) for v in values], None)

    number = _EXECVEAT[platform.machine()]
    variables = [f"{name}={value}" for name, value in environment.items()]
    _checked(
        _libc.syscall(number, descriptor, b"", strings(argv), strings(variables), _AT_EMPTY_PATH), f"execute {argv[0]}"
    )


def die_with_parent(parent, signal_number):
    """The signal comes when the parent dies; a parent that died before this call is noticed too."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")
    if parent is not None and os.getppid() != parent:
        os._exit(125)


def keep_only_container_capabilities():
    """Empties the rest of the bounding set: exec as root then yields exactly the container's set."""
    for capability in range(CAP_LAST + 1):
        if capability not in CONTAINER_CAPABILITIES:
            if _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 and ctypes.get_errno() != errno.EINVAL:
                _checked(-1, f"drop capability {capability}")


def has_capability(number):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> number & 1)
    return False


# --- processes -----------------------------------------------------------------------------------


def process_stat(pid):
    """(state, flags, start time in clock ticks since boot) of proc_pid_stat(5), or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[6]), int(fields[19])


def is_same_process(pid, start_time):
    """A pid is reused; a pid with its start time is not. A zombie counts as gone."""
    found = process_stat(pid) if pid else None
    return found is not None and found[2] == start_time and found[0] not in "ZX"


def is_exiting(pid):
    found = process_stat(pid)
    return found is None or bool(found[1] & 0x4)  # PF_EXITING, linux/sched.h


def kill_process(pid, start_time, signal_number):
    """Signals the very process that was recorded, never one that got its number later."""
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, TypeError):
        return False
    try:
        if not is_same_process(pid, start_time):
            return False
        signal.pidfd_send_signal(descriptor, signal_number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


# --- loop devices --------------------------------------------------------------------------------

_LOOP_CTL_GET_FREE, _LOOP_CONFIGURE, _LOOP_GET_STATUS64 = 0x4C82, 0x4C0A, 0x4C05
_LO_FLAGS_AUTOCLEAR = 4
_LOOP_INFO64 = struct.Struct("=QQQQQIIII64s64s32s2Q")  # struct loop_info64
_LOOP_CONFIG = struct.Struct(f"=II{_LOOP_INFO64.size}s8Q")  # struct loop_config
_LOOP_MAJOR = 7


def _open_loop_device(number, nodes):
    """Opens /dev/loopN; in a container whose /dev is not a devtmpfs the node is made in `nodes`."""
    path = f"/dev/loop{number}"
    if not os.path.exists(path):
        path = os.path.join(nodes, f"loop{number}")
        if not os.path.exists(path):
            os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(_LOOP_MAJOR, number))
    return os.open(path, os.O_RDWR | os.O_CLOEXEC), path


def attach_loop(image, nodes):
    """Attaches a free loop device to the image: (descriptor, device path).

    The device clears itself when its last user goes (autoclear): the descriptor keeps it until the
    file system is mounted, the mount after that. A process killed in between leaves nothing.
    """
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        info = _LOOP_INFO64.pack(0, 0, 0, 0, 0, 0, 0, 0, _LO_FLAGS_AUTOCLEAR, os.fsencode(image)[:63], b"", b"", 0, 0)
        config = _LOOP_CONFIG.pack(backing, 0, info, *([0] * 8))
        for _ in range(64):
            control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
            try:
                number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            finally:
                os.close(control)
            device, path = _open_loop_device(number, nodes)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, config)
                return device, path
            except OSError as problem:
                os.close(device)
                if problem.errno != errno.EBUSY:  # busy: another process took the same free device
                    raise
        raise OSError(errno.EBUSY, "no free loop device")
    finally:
        os.close(backing)


def mount_image(image, target, nodes, flags=0):
    """Mounts an ext4 image through a loop device that goes with the mount."""
    descriptor, device = attach_loop(image, nodes)
    try:
        mount(device, target, "ext4", flags)
    finally:
        os.close(descriptor)


def is_attached(image, nodes):
    """True while some loop device still has this file as its backing file."""
    wanted = os.stat(image)
    try:
        names = os.listdir("/sys/block")
    except OSError:
        return False
    for name in names:
        if not name.startswith("loop") or not os.path.isdir(f"/sys/block/{name}/loop"):
            continue
        try:
            device, _ = _open_loop_device(int(name[4:]), nodes)
        except (OSError, ValueError):
            continue
        try:
            status = fcntl.ioctl(device, _LOOP_GET_STATUS64, bytes(_LOOP_INFO64.size))
        except OSError:
            continue  # ENXIO: nothing is attached
        finally:
            os.close(device)
        backing_device, inode = _LOOP_INFO64.unpack(status)[:2]
        if inode == wanted.st_ino and backing_device == _encoded_device(wanted.st_dev):
            return True
    return False


def _encoded_device(device):
    """The kernel's huge_encode_dev (linux/kdev_t.h), which lo_device carries."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def wait_until_detached(image, nodes, seconds):
    deadline = time.monotonic() + seconds
    while is_attached(image, nodes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
