"""Roots of Debian releases to install into, and the packages: scripts/test-package makes them."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ["PACKET_AGENT_BIN"])
PACKAGES = pathlib.Path(os.environ["PACKET_PACKAGES"])
ROOTFS = os.environ["PACKET_ROOTFS"]
CACHE = pathlib.Path("/var/cache/packet-agent")
NVML = ROOT / ".build" / "nvml-simulator" / "libnvidia-ml.so.1"


def one(pattern):
    found = list(PACKAGES.glob(pattern))
    assert len(found) == 1, (pattern, found)
    return found[0]


AGENT_DEB = one("packet-agent_*.deb")
CONTROL_DEB = one("packet-control_*.deb")


# Without this test's own variables: the agent takes each PACKET_AGENT_* for a key of its configuration.
CLEAN = {"PATH": os.environ["PATH"], "HOME": "/root", "LC_ALL": "C.UTF-8"}


def run(*command, check=True, **options):
    options.setdefault("env", CLEAN)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def release(suite):
    """A minimal root of a Debian release; None where its mirror cannot be reached."""
    if suite == "bookworm":
        return pathlib.Path(run(ROOT / "scripts/rootfs", "--minimal").stdout.strip())
    directory = CACHE / f"rootfs-{suite}"
    if not (directory / ".complete").exists():
        shutil.rmtree(directory, ignore_errors=True)
        mirror = run(
            "sh", "-c", "apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1"
        ).stdout.strip()
        made = run("unshare", "--mount", "--pid", "--fork", "--kill-child", "debootstrap", "--variant=minbase", suite,
                   directory, mirror, check=False)
        if made.returncode != 0:
            shutil.rmtree(directory, ignore_errors=True)
            return None
        (directory / ".complete").touch()
    return directory


class Chroot:
    """A throw-away overlay over a root, entered by chroot(8) as image builds do: no systemd, an empty /run."""

    def __init__(self, lower):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="packet-package."))
        run("mount", "-t", "tmpfs", "tmpfs", self.directory)
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir()
        self.root = self.directory / "root"
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={lower},upperdir={self.directory}/upper,workdir={self.directory}/work", self.root)
        run("mount", "-t", "proc", "proc", self.root / "proc")
        for deb in (AGENT_DEB, CONTROL_DEB):
            shutil.copy(deb, self.root / "tmp")

    def close(self):
        run("umount", "-R", "-l", self.directory, check=False)
        self.directory.rmdir()

    def __call__(self, *command, check=True):
        return run("env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
                   "DEBIAN_FRONTEND=noninteractive", "chroot", self.root, *command, check=check)

    def dpkg(self, action, what, check=True):
        return self("dpkg", action, what, check=check)

    def processes(self):
        """Commands whose root is this one."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.path.samefile(entry / "root", self.root):
                    found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
        return found

    def path(self, absolute):
        return self.root / absolute.lstrip("/")


class WithChroot(unittest.TestCase):
    suite = "bookworm"

    def setUp(self):
        lower = release(self.suite)
        if lower is None:
            self.skipTest(f"the mirror has no Debian {self.suite}")
        self.chroot = Chroot(lower)
        self.addCleanup(self.chroot.close)
