#!/bin/bash
# Boots systemd as PID 1 in namespaces of its own, on a throw-away overlay over ROOTFS; ends with it.
#   boot.sh DIRECTORY ROOTFS BINARY UNIT NVML    (DIRECTORY: empty, for the overlay; as root)
# systemd.container(7) "Container Interface": what a manager expects to find in a container.
set -euo pipefail
directory=$1 rootfs=$2 binary=$3 unit=$4 nvml=$5
root=$directory/root
mkdir "$directory"/{upper,work,root}

# A cgroup v2 directory of its own, so that the manager sees a tree that it may write and nothing else.
unified=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
if [ -z "$unified" ]; then
    unified=$directory/cgroup
    mkdir "$unified"
    mount -t cgroup2 cgroup2 "$unified"
    trap 'umount "$unified"' EXIT
fi
group=$unified/packet-agent-systemd-$$
mkdir "$group"
export directory rootfs binary unit nvml root
code=0
(
    echo "$BASHPID" >"$group/cgroup.procs"
    exec setpriv --pdeathsig KILL unshare --mount --uts --ipc --net --cgroup --pid --fork --kill-child \
        --propagation private bash -euc '
        mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$directory/upper,workdir=$directory/work" "$root"
        install -m 644 "$unit" "$root/etc/systemd/system/packet-agent.service"
        for file in "$binary:usr/bin/packet-agent" "$nvml:usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"; do
            mkdir -p "$(dirname "$root/${file#*:}")"; touch "$root/${file#*:}"
            mount --bind "${file%%:*}" "$root/${file#*:}"
        done
        mount -t proc proc "$root/proc"
        mount -t sysfs -o ro sysfs "$root/sys"
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
        mount -t tmpfs -o mode=755 tmpfs "$root/dev"
        # Nodes of its own, not binds: systemd and agetty change their modes.
        while read -r node major minor mode; do
            mknod -m "$mode" "$root/dev/$node" c "$major" "$minor"
        done <<<"null 1 3 666
            zero 1 5 666
            full 1 7 666
            random 1 8 666
            urandom 1 9 666
            tty 5 0 666
            console 1 3 600"
        mkdir "$root/dev/pts" "$root/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
        ln -s pts/ptmx "$root/dev/ptmx"
        mount -t tmpfs -o mode=755 tmpfs "$root/run"
        ln -s /dev/null "$root/etc/systemd/system/console-getty.service"
        cd "$root"
        pivot_root . mnt
        umount -l /mnt
        exec env -i container=packet-agent-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init'
) || code=$?
# The manager leaves groups behind, deepest first.
find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
exit "$code"
