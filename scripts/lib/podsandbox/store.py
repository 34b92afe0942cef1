"""What the sandbox keeps on disk, and the locks that say what is alive.

    $PACKET_PODS_DIR (default /var/lib/packet-pods)
        bin/                      compiled helpers, named by the hash of their source
        pods/NAME/                pod.json, console.log, exit.json, lock
        volumes/NAME/             volume.json, lock, disk.img or tree/
        kubelet/pods/UID/         what a kubelet would keep: etc-hosts, volumes/kubernetes.io~.../NAME

A pod is alive while its shim holds the flock on pods/NAME/lock. The kernel drops it when the shim
dies, however it dies, so no file has to be trusted after a crash.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import time

from . import linux
from .errors import PodError, Unusable, Usage

DEFAULT_STATE = "/var/lib/packet-pods"
DISK_SIZE = "1G"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")  # an RFC 1123 label, dots allowed
_SIZE = re.compile(r"([1-9][0-9]{0,9})([KMGT]?)")


def checked_name(name, what="pod"):
    if not _NAME.fullmatch(name) or ".." in name:
        raise Usage(
            f"'{name}' is not a {what} name: use 1 to 63 of a-z, 0-9, '-' and '.', beginning and ending with a-z or 0-9"
        )
    return name


def checked_size(text):
    found = _SIZE.fullmatch(text.upper())
    if not found:
        raise Usage(f"'{text}' is not a size: write a number with K, M, G or T, such as 512M")
    size = int(found[1]) * 1024 ** " KMGT".index(found[2] or " ")
    if size < 16 << 20:
        raise Usage(f"a disk of {text} is too small for ext4: use at least 16M")
    return size


def write_json(path, value):
    temporary = f"{path}.{os.getpid()}.new"
    with open(temporary, "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
    os.rename(temporary, path)


def read_json(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def try_lock(path):
    """The open, locked descriptor, or None while another process holds the lock or the file is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    except OSError as problem:
        os.close(descriptor)
        if problem.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return None


class Store:
    def __init__(self, root=None):
        self.root = os.path.realpath(root or os.environ.get("PACKET_PODS_DIR") or DEFAULT_STATE)
        if set(self.root) & set(",:\\\n"):
            raise Usage(f"{self.root}: an overlay cannot be made below a path with ',' ':' '\\' or a line feed")
        self.pods = os.path.join(self.root, "pods")
        self.volumes = os.path.join(self.root, "volumes")
        self.kubelet = os.path.join(self.root, "kubelet")
        self.bin = os.path.join(self.root, "bin")
        self.nodes = os.path.join(self.root, "nodes")

    def prepare(self):
        for path in (self.root, self.pods, self.volumes, self.kubelet, self.bin, self.nodes):
            os.makedirs(path, mode=0o755, exist_ok=True)

    @contextlib.contextmanager
    def exclusively(self):
        """One command at a time decides who exists and who holds which volume. Held for moments only."""
        os.makedirs("/run/packet-pods", mode=0o700, exist_ok=True)
        key = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        descriptor = os.open(f"/run/packet-pods/{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    # --- pods ------------------------------------------------------------------------------------

    def pod(self, name):
        return Pod(self, checked_name(name))

    def existing_pod(self, name):
        pod = self.pod(name)
        if not os.path.isdir(pod.directory):
            known = ", ".join(other.name for other in self.all_pods()) or "none"
            raise PodError(f"there is no pod {name} (pods: {known})")
        return pod

    def all_pods(self):
        try:
            names = sorted(os.listdir(self.pods))
        except FileNotFoundError:
            return []
        return [Pod(self, name) for name in names if _NAME.fullmatch(name)]

    def sweep(self, everything=False):
        """Removes pods whose creation was killed half-way; with `everything` also those that ended. Returns names."""
        removed = []
        with self.exclusively():
            for pod in self.all_pods():
                state = pod.state()
                if state in ("creating", "running", "ending") or (state == "exited" and not everything):
                    continue
                pod.remove()
                removed.append(pod.name)
            known = {pod.record().get("uid") for pod in self.all_pods()}
            pods = os.path.join(self.kubelet, "pods")
            for uid in os.listdir(pods) if os.path.isdir(pods) else []:
                if uid not in known:
                    shutil.rmtree(os.path.join(pods, uid), ignore_errors=True)
            for volume in self.all_volumes():
                if volume.record() is None:  # its creation was killed
                    shutil.rmtree(volume.directory, ignore_errors=True)
        return removed

    # --- volumes ---------------------------------------------------------------------------------

    def volume(self, name):
        return Volume(self, checked_name(name, "volume"))

    def all_volumes(self):
        try:
            names = sorted(os.listdir(self.volumes))
        except FileNotFoundError:
            return []
        return [Volume(self, name) for name in names if _NAME.fullmatch(name)]


class Pod:
    def __init__(self, store, name):
        self.store = store
        self.name = name
        self.directory = os.path.join(store.pods, name)
        self.lock = self.file("lock")

    def file(self, name):
        return os.path.join(self.directory, name)

    def record(self):
        return read_json(self.file("pod.json")) or {}

    def save(self, record):
        write_json(self.file("pod.json"), record)

    def exit(self):
        return read_json(self.file("exit.json")) or {}

    def kubelet_directory(self, record):
        return os.path.join(self.store.kubelet, "pods", record["uid"])

    def is_held(self):
        descriptor = try_lock(self.lock)
        if descriptor is None:
            return os.path.exists(self.lock)
        os.close(descriptor)
        return False

    def state(self):
        """creating, running, ending, exited (PID 1 ended) or dead (the shim or the creation was killed)."""
        if self.is_held():
            pid = self.record().get("pid")
            if pid is None:
                return "creating"
            return "ending" if linux.is_exiting(pid) else "running"
        return "exited" if self.exit() else "dead"

    def settled_state(self, seconds=5):
        """The state once a creation or an end that is going on is over: another command's, or a killed one's."""
        deadline = time.monotonic() + seconds
        while (state := self.state()) in ("creating", "ending") and time.monotonic() < deadline:
            time.sleep(0.02)
        return state

    def running(self):
        """The record of a pod one can enter; says why not otherwise."""
        record = self.record()
        if self.state() != "running" or not linux.is_same_process(record["pid"], record["start_time"]):
            raise PodError(f"pod {self.name} is not running (state: {self.state()}): see scripts/pod logs {self.name}")
        return record

    def is_gone(self):
        """True once neither shim, PID 1 nor FUSE server lives."""
        record = self.record()
        processes = [(record.get("pid"), record.get("start_time")), tuple(record.get("fuse_server") or (None, None))]
        return not self.is_held() and not any(linux.is_same_process(*process) for process in processes)

    def remove(self):
        """Deletes everything of a dead pod; its attached disk stays. The lock file goes last but the directory."""
        record = self.record()
        for pid, start_time in [
            (record.get("pid"), record.get("start_time")),
            tuple(record.get("fuse_server") or (None, None)),
        ]:
            if pid:
                linux.kill_process(pid, start_time, 9)
        if record.get("uid"):
            shutil.rmtree(self.kubelet_directory(record), ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)


class Volume:
    """A disk image or a directory behind a FUSE server: what outlives a pod."""

    def __init__(self, store, name):
        self.store = store
        self.name = name
        self.directory = os.path.join(store.volumes, name)
        self.lock = os.path.join(self.directory, "lock")
        self.image = os.path.join(self.directory, "disk.img")
        self.tree = os.path.join(self.directory, "tree")

    def record(self):
        return read_json(os.path.join(self.directory, "volume.json"))

    def create(self, kind, size=None):
        """Makes the image or the directory; volume.json is written last, so a half-made volume is known as such."""
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory, mode=0o755)
        os.close(os.open(self.lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        record = {"name": self.name, "kind": kind, "created": time.time()}
        if kind == "disk":
            record["size_bytes"] = checked_size(size or DISK_SIZE)
            make_ext4(self.image, record["size_bytes"])
        else:
            os.mkdir(self.tree)
            os.chmod(self.tree, 0o777)
        write_json(os.path.join(self.directory, "volume.json"), record)
        return record

    def holder(self):
        """The living pod that uses the volume, or None."""
        for pod in self.store.all_pods():
            if pod.record().get("volume_id") == self.name and pod.is_held():
                return pod
        return None

    def attached_to(self):
        holder = self.holder()
        return holder.name if holder else None

    def attach(self):
        """Locks the volume for the caller's life: the descriptor. A disk that an ending pod still holds is waited for."""
        descriptor, deadline = try_lock(self.lock), time.monotonic() + 5
        while descriptor is None:
            holder = self.holder()
            if (holder and holder.settled_state() == "running") or time.monotonic() > deadline:
                name = holder.name if holder else "(unknown)"
                raise PodError(f"volume {self.name} is attached to pod {name}: one pod at a time")
            time.sleep(0.02)
            descriptor = try_lock(self.lock)
        if os.path.exists(self.image) and not linux.wait_until_detached(self.image, self.store.nodes, 10):
            os.close(descriptor)
            raise PodError(f"volume {self.name} is still mounted by a pod that ended: see losetup -a")
        return descriptor

    def delete(self):
        descriptor = self.attach()
        try:
            shutil.rmtree(self.directory)
        finally:
            os.close(descriptor)


def make_ext4(image, size, *options):
    """A sparse file with an ext4 file system whose root everybody may write, as an emptyDir's and most shares' is."""
    with open(image, "wb") as file:
        file.truncate(size)
    # root_perms came with e2fsprogs 1.47.1; Debian 12 has 1.47.0, so debugfs sets the mode.
    commands = [
        ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", *options, image],
        ["debugfs", "-w", "-R", "set_inode_field / mode 040777", image],
    ]
    for command in commands:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        except FileNotFoundError:
            raise Unusable(f"{command[0]} is missing: apt-get install e2fsprogs") from None
        if done.returncode != 0:
            raise PodError(f"{command[0]} {image} failed: {done.stderr.strip()}")
