"""The sandbox's two C programs, compiled when first needed and kept by the hash of their source."""

import hashlib
import os
import shutil
import subprocess

from .errors import PodError, Unusable

_HERE = os.path.dirname(os.path.abspath(__file__))


def _compiler():
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    raise Unusable("a C compiler is missing: apt-get install gcc libc6-dev")


def _fuse_flags():
    try:
        done = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.split()
    except FileNotFoundError:
        pass
    if os.path.exists("/usr/include/fuse3/fuse.h"):
        return ["-I/usr/include/fuse3", "-lfuse3"]
    raise Unusable("libfuse3's headers are missing: apt-get install libfuse3-dev")


def _build(store, name, flags):
    source = os.path.join(_HERE, name + ".c")
    with open(source, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()[:16]
    program = os.path.join(store.bin, f"pod-{name}-{digest}")
    if os.path.exists(program):
        return program
    temporary = f"{program}.{os.getpid()}.new"
    command = [_compiler(), "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", temporary, source, *flags()]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise PodError(f"cannot compile {source}:\n{done.stderr.strip()}")
    os.rename(temporary, program)
    return program


def init_program(store):
    """Static: it runs in a root file system that has no C library."""
    return _build(store, "init", lambda: ["-static"])


def fuse_program(store):
    return _build(store, "fuse", lambda: ["-D_GNU_SOURCE", *_fuse_flags(), "-pthread"])
