"""scripts/pod create: checks what was asked for, reserves the name and the volume, starts the pod."""

import os
import re
import shutil
import subprocess
import sys
import time
import uuid

from . import helpers, life, linux, users
from .errors import PodError, Unusable, Usage
from .root import NVML_NAME, copy_kubelet_files
from .store import checked_name, try_lock

_SUBTYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_SIMPLE_VOLUMES = ("none", "emptydir", "emptydir-memory", "node-directory")


def check_machine(volume_kind):
    """Says what this machine lacks before anything is touched."""
    if not linux.has_capability(linux.CAP_SYS_ADMIN):
        raise Unusable("CAP_SYS_ADMIN is missing: run the surrounding container with --privileged")
    for fstype in ("overlay", "ext4") + (("fuse",) if volume_kind == "fuse" else ()):
        if not _kernel_has(fstype):
            raise Unusable(f"the kernel has no {fstype} file system: modprobe {fstype}")
    if not os.path.exists("/dev/loop-control"):
        subprocess.run(["modprobe", "loop"], capture_output=True, check=False) if shutil.which("modprobe") else None
        if not os.path.exists("/dev/loop-control"):
            raise Unusable("/dev/loop-control is missing: modprobe loop, or run the surrounding container with --privileged")
    if volume_kind == "fuse" and not os.path.exists("/dev/fuse"):
        raise Unusable("/dev/fuse is missing: modprobe fuse, or give the surrounding container --device /dev/fuse")
    for tool in ("mkfs.ext4", "debugfs"):
        if not shutil.which(tool):
            raise Unusable(f"{tool} is missing: apt-get install e2fsprogs")


def _kernel_has(fstype):
    def listed():
        with open("/proc/filesystems") as file:
            return fstype in file.read().split()

    if listed():
        return True
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", fstype], capture_output=True, check=False)
    return listed()


def parse_volume(text):
    """The kind with its argument: {"kind", "size", "subtype"}."""
    kind, colon, argument = text.partition(":")
    if text in _SIMPLE_VOLUMES:
        return {"kind": kind}
    if kind == "disk":
        return {"kind": "disk", "size": argument or None}
    if kind == "fuse" and (not colon or _SUBTYPE.fullmatch(argument)):
        return {"kind": "fuse", "subtype": argument}
    raise Usage(f"'{text}' is not a volume: use {', '.join(_SIMPLE_VOLUMES)}, disk[:SIZE] or fuse[:SUBTYPE]")


def parse_bind(text):
    parts = text.split(":")
    read_only = len(parts) == 3 and parts[2] == "ro"
    if len(parts) not in (2, 3) or (len(parts) == 3 and not read_only) or not parts[1].startswith("/"):
        raise Usage(f"'{text}' is not a bind mount: write SOURCE:/DESTINATION or SOURCE:/DESTINATION:ro")
    source = os.path.realpath(parts[0])
    if not os.path.exists(source):
        raise PodError(f"--bind {text}: {source} does not exist")
    return [source, parts[1], read_only]


def _rootfs(text):
    if text == "host":
        print(
            "scripts/pod: warning: the lower layer is this machine's live root: what the machine itself writes from now"
            " on looks like the pod's user wrote it. Use --rootfs DIR (scripts/rootfs makes one).",
            file=sys.stderr,
        )
        return "/"
    path = os.path.realpath(text)
    if not os.path.isdir(path):
        raise PodError(f"--rootfs {text}: no such directory; scripts/rootfs makes one")
    if set(path) & set(",:\\\n"):
        raise Usage(f"--rootfs {path}: an overlay cannot take a path with ',' ':' '\\' or a line feed")
    if not any(os.path.lexists(os.path.join(path, name)) for name in ("bin", "usr", "sbin", "lib")):
        raise PodError(f"--rootfs {path} does not look like a root file system: it has no bin, sbin, lib or usr")
    return path


def _nvml(text):
    path = os.path.realpath(os.path.join(text, NVML_NAME) if os.path.isdir(text) else text)
    if not os.path.isfile(path):
        raise PodError(f"--nvml {text}: there is no {NVML_NAME}")
    return path


def create(store, options, command):
    name = checked_name(options.name)
    volume = parse_volume(options.volume)
    volume["name"] = checked_name(options.volume_name, "volume")
    hostname = checked_name(options.hostname or name.replace(".", "-"), "host")
    uid = options.pod_uid or str(uuid.uuid4())
    if not _UID.fullmatch(uid):
        raise Usage(f"'{uid}' is not a pod UID: use letters, digits and '-'")
    environment = users.parse_variables(options.env)
    binds = [parse_bind(text) for text in options.bind]
    rootfs = _rootfs(options.rootfs)
    users.look_up(options.user, rootfs)
    nvml = _nvml(options.nvml) if options.nvml else None
    if options.scenario and not os.path.isfile(options.scenario):
        raise PodError(f"--scenario {options.scenario}: no such file")
    check_machine(volume["kind"])

    store.prepare()
    store.sweep()
    init_program = helpers.init_program(store) if options.init or not command else None
    if volume["kind"] == "fuse":
        volume["program"] = helpers.fuse_program(store)

    record = {
        "name": name,
        "uid": uid,
        "created": time.time(),
        "hostname": hostname,
        "rootfs": rootfs,
        "volume": options.volume,
        "volume_name": volume["name"] if volume["kind"] != "none" else None,
        "volume_id": volume["name"] if volume["kind"] in ("disk", "fuse") else None,
        "user": options.user,
        "environment": environment,
        "privileged": options.privileged,
        "command": command,
        "scenario": None,
    }
    pod, locks = _reserve(store, name, record, volume)
    try:
        kubelet = pod.kubelet_directory(record)
        os.makedirs(kubelet, mode=0o755)
        copy_kubelet_files(kubelet, hostname)
        _prepare_volume(store, kubelet, volume, options.volume_source)
        if options.scenario:
            os.mkdir(pod.file("nvml-simulator"), 0o755)
            record["scenario"] = pod.file("nvml-simulator/scenario")
            shutil.copyfile(options.scenario, record["scenario"])
            os.chmod(record["scenario"], 0o644)
        spec = {
            "directory": pod.directory,
            "nodes": store.nodes,
            "kubelet": kubelet,
            "rootfs": rootfs,
            "volume": volume,
            "nvml": nvml,
            "scenario": os.path.dirname(record["scenario"]) if record["scenario"] else None,
            "binds": binds,
            "hostname": hostname,
            "user": options.user,
            "environment": environment,
            "privileged": options.privileged,
        }
    except BaseException:
        for descriptor in locks:
            os.close(descriptor)
        with store.exclusively():
            pod.remove()
        raise
    return life.start(pod, record, spec, command, init_program, locks)


def _reserve(store, name, record, volume):
    """Takes the name and the volume, or says who has them. What is left of an ended pod of that name goes."""
    with store.exclusively():
        pod = store.pod(name)
        if os.path.isdir(pod.directory):
            if pod.settled_state() in ("creating", "running", "ending"):
                raise PodError(f"pod {name} exists already: scripts/pod terminate {name}")
            pod.remove()
        for other in store.all_pods():
            if other.record().get("uid") == record["uid"]:
                raise PodError(f"pod {other.name} has the UID {record['uid']} already")
        locks = []
        try:
            if record["volume_id"]:
                locks.append(_attach(store, volume))
            os.mkdir(pod.directory, 0o700)
            os.close(os.open(pod.lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            locks.append(try_lock(pod.lock))
            pod.save(record)
        except BaseException:
            for descriptor in locks:
                os.close(descriptor)
            raise
        return pod, locks


def _attach(store, volume):
    kept = store.volume(volume["name"])
    known = kept.record()
    if known is None:
        known = kept.create(volume["kind"], volume.get("size"))
    elif known["kind"] != volume["kind"]:
        raise PodError(
            f"volume {kept.name} is a {known['kind']} volume, not {volume['kind']}: scripts/pod volume delete {kept.name}"
        )
    return kept.attach()


def _prepare_volume(store, kubelet, volume, source):
    """Where the volume's data is on the node; the paths are the ones a kubelet uses."""
    kept, kind = store.volume(volume["name"]), volume["kind"]
    if kind == "disk":
        volume["image"] = kept.image
    elif kind == "fuse":
        volume["tree"] = kept.tree
        volume["source"] = source or f"{volume['subtype'] or 'pod-fuse'}:{volume['name']}"
    elif kind in ("emptydir", "node-directory"):
        plugin = "kubernetes.io~empty-dir" if kind == "emptydir" else "kubernetes.io~nfs"
        volume["source"] = os.path.join(kubelet, "volumes", plugin, volume["name"])
        os.makedirs(volume["source"])
        os.chmod(volume["source"], 0o777)


