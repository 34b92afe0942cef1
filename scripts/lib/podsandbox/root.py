"""The pod's mounts, made by its first process inside its own mount namespace.

The order is a container runtime's: root overlay, /proc, /sys, /dev, the kubelet's files, the volume,
the rest; then pivot_root, and nothing of the node's tree is left to see.
"""

import os
import platform
import shutil
import stat

from . import linux
from .errors import PodError
from .linux import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from .store import make_ext4

UPPER_SIZE = 64 << 30  # sparse: takes space only as the pod writes
NVML_NAME = "libnvidia-ml.so.1"
SCENARIO_DIRECTORY = "/run/nvml-simulator"

_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
    "core": "/proc/kcore",
}
# The OCI runtime's defaults (containerd oci.WithDefaultSpec): they are part of what an agent sees in mountinfo.
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_MASKED = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/scsi",
           "/sys/firmware"]  # fmt: skip


def inside(root, path):
    """`path` of the pod as a path below `root`: symbolic links are followed, but never out of the root."""
    resolved, pending, links = [], [part for part in path.split("/") if part not in ("", ".")], 0
    while pending:
        part = pending.pop(0)
        if part == "..":
            del resolved[-1:]
            continue
        here = os.path.join(root, *resolved, part)
        if os.path.islink(here):
            links += 1
            if links > 40:
                raise PodError(f"too many symbolic links in {path}")
            target = os.readlink(here)
            if target.startswith("/"):
                resolved = []
            pending = [part for part in target.split("/") if part not in ("", ".")] + pending
        else:
            resolved.append(part)
    return os.path.join(root, *resolved)


def mount_point(root, path, directory=True):
    """Makes sure that `path` exists in the pod and returns where it is on the node's side."""
    target = inside(root, path)
    if directory:
        os.makedirs(target, mode=0o755, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    return target


def build(spec, notify_fuse_mounted):
    """Builds the root and makes it ours. `spec` is the pod's record plus paths; see create.py."""
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    _complete_devices(spec)
    root = _overlay(spec)
    _kernel_file_systems(root, spec)
    _kubelet_files(root, spec)
    _volume(root, spec, notify_fuse_mounted)
    if spec["nvml"]:
        library = f"/usr/lib/{platform.machine()}-linux-gnu/{NVML_NAME}"
        linux.bind(spec["nvml"], mount_point(root, library, directory=False), read_only=True)
    if spec["scenario"]:
        # The directory, not the file: a scenario replaced by rename must be seen in the pod.
        linux.bind(spec["scenario"], mount_point(root, SCENARIO_DIRECTORY))
    for source, destination, read_only in spec["binds"]:
        directory = os.path.isdir(source)
        linux.bind(source, mount_point(root, destination, directory), read_only, recursive=directory)
    _protect(root, spec)
    # Both arguments the same: the old root ends up on top of the new one and is taken off (pivot_root(2)).
    os.chdir(root)
    linux.pivot_root(".", ".")
    linux.umount_lazily(".")
    os.chdir("/")


def _complete_devices(spec):
    """In a container /dev lacks the nodes of loop devices made later. One of our own, seen by nobody else,
    gets them under their usual names, which mountinfo shows as the source of a disk."""
    with open("/proc/self/mountinfo") as file:
        types = {row[4]: row[row.index("-", 6) + 1] for row in (line.split(" ") for line in file)}
    if types.get("/dev") == "devtmpfs":
        return
    linux.mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755")
    for name, (major, minor) in {"null": (1, 3), "loop-control": (10, 237)}.items():
        os.mknod(f"/dev/{name}", stat.S_IFCHR | 0o600, os.makedev(major, minor))
    spec["nodes"] = "/dev"


def _overlay(spec):
    """lower: the image, read-only. upper: an ext4 image of the pod's own.

    Its file is unlinked as soon as it is mounted: the writable layer exists exactly as long as this
    mount namespace, and no crash can leave it behind. ext4 gives the upper directory a birth time,
    which the merged / shows: it is the moment of the pod's creation.
    """
    directory, nodes = spec["directory"], spec["nodes"]
    staging = os.path.join(directory, "staging")
    os.makedirs(staging, exist_ok=True)
    image = os.path.join(directory, "upper.img")
    make_ext4(image, UPPER_SIZE, "-O", "^has_journal")
    linux.mount_image(image, staging, nodes)
    os.unlink(image)
    upper, work, root = (os.path.join(staging, name) for name in ("fs", "work", "root"))
    for path in (upper, work, root):
        os.mkdir(path, 0o755)
    lower = spec["rootfs"]
    os.chmod(upper, stat.S_IMODE(os.stat(lower).st_mode))
    linux.mount("overlay", root, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}")
    return root


def _kernel_file_systems(root, spec):
    quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC
    linux.mount("proc", mount_point(root, "/proc"), "proc", quiet)
    linux.mount("sysfs", mount_point(root, "/sys"), "sysfs", quiet | MS_RDONLY)
    dev = mount_point(root, "/dev")
    linux.mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755,size=65536k")
    for name, (major, minor) in _DEVICES.items():
        path = os.path.join(dev, name)
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        os.chmod(path, 0o666)  # whatever the umask
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, os.path.join(dev, name))
    pts, shm, mqueue = (os.path.join(dev, name) for name in ("pts", "shm", "mqueue"))
    for path in (pts, shm, mqueue):
        os.mkdir(path, 0o755)
    linux.mount("devpts", pts, "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    linux.mount("shm", shm, "tmpfs", quiet, "mode=1777,size=65536k")
    try:
        linux.mount("mqueue", mqueue, "mqueue", quiet)
    except OSError:
        os.rmdir(mqueue)  # a kernel without POSIX message queues


def _kubelet_files(root, spec):
    """Single files bound from the kubelet's directory: their major:minor is the kubelet's file system."""
    kubelet = spec["kubelet"]
    for name, path in [
        ("etc-hosts", "/etc/hosts"),
        ("hostname", "/etc/hostname"),
        ("resolv.conf", "/etc/resolv.conf"),
        ("termination-log", "/dev/termination-log"),
    ]:
        linux.bind(os.path.join(kubelet, name), mount_point(root, path, directory=False))


def _volume(root, spec, notify_fuse_mounted):
    volume = spec["volume"]
    if volume["kind"] == "none":
        return
    target = mount_point(root, f"/mnt/{volume['name']}")
    if volume["kind"] == "disk":
        linux.mount_image(volume["image"], target, spec["nodes"])
    elif volume["kind"] in ("emptydir", "node-directory"):
        linux.bind(volume["source"], target)
    elif volume["kind"] == "emptydir-memory":
        linux.mount("tmpfs", target, "tmpfs", 0, "mode=777")
    else:
        # mount(2) with our own /dev/fuse descriptor instead of libfuse's mount: so the mount exists
        # in this namespace only, while the server runs outside the pod.
        fstype = f"fuse.{volume['subtype']}" if volume["subtype"] else "fuse"
        options = f"fd={volume['descriptor']},rootmode=40755,user_id=0,group_id=0,default_permissions,allow_other"
        linux.mount(volume["source"], target, fstype, MS_NOSUID | MS_NODEV, options)
        notify_fuse_mounted()
        os.statvfs(target)  # waits for the server's first answer; a server that cannot start is an error here


def _protect(root, spec):
    if spec["privileged"]:
        return
    for path in _READ_ONLY:
        target = root + path
        if os.path.exists(target):
            linux.bind(target, target, read_only=True)
    for path in _MASKED:
        target = root + path
        if os.path.isdir(target):
            linux.mount("tmpfs", target, "tmpfs", MS_RDONLY, "size=0k")
        elif os.path.exists(target):
            linux.bind(os.path.join(root, "dev/null"), target)


def copy_kubelet_files(directory, hostname, resolv_conf="/etc/resolv.conf"):
    """The files that a kubelet writes for a pod before the runtime starts it."""
    with open(os.path.join(directory, "etc-hosts"), "w") as file:
        file.write(f"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\t{hostname}\n")
    with open(os.path.join(directory, "hostname"), "w") as file:
        file.write(hostname + "\n")
    open(os.path.join(directory, "termination-log"), "w").close()
    os.chmod(os.path.join(directory, "termination-log"), 0o666)
    target = os.path.join(directory, "resolv.conf")
    try:
        shutil.copyfile(resolv_conf, target)
    except OSError:
        open(target, "w").close()
