"""Who a process in the pod is: looked up in the pod's own passwd and group, as a container runtime does."""

import os

from .errors import PodError, Usage

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _rows(path, fields):
    try:
        with open(path, errors="surrogateescape") as file:
            rows = [line.rstrip("\n").split(":") for line in file]
    except OSError:
        return []
    return [row for row in rows if len(row) >= fields]


def look_up(text, root="/"):
    """(uid, gid, supplementary groups, home, shell) of USER or USER:GROUP, names or numbers.

    A number that the pod's passwd does not know is fine, as in a container: group 0, home /.
    """
    user, _, group = text.partition(":")
    found = None
    for row in _rows(os.path.join(root, "etc/passwd"), 7):
        if row[0] == user or (user.isdigit() and row[2] == user):
            found = row
            break
    if found is None and not user.isdigit() and user != "root":
        raise PodError(f"the pod has no user '{user}' in /etc/passwd")
    uid = int(found[2]) if found else (0 if user == "root" else int(user))
    gid = int(found[3]) if found else 0
    home = (found[5] if found else "") or ("/root" if uid == 0 else "/")
    shell = (found[6].strip() if found else "") or ""
    groups = []
    for row in _rows(os.path.join(root, "etc/group"), 4):
        if group and (row[0] == group or row[2] == group):
            gid = int(row[2])
        if found and found[0] in row[3].strip().split(","):
            groups.append(int(row[2]))
    if group.isdigit():
        gid = int(group)
    elif group and not any(row[0] == group for row in _rows(os.path.join(root, "etc/group"), 4)):
        raise PodError(f"the pod has no group '{group}' in /etc/group")
    return uid, gid, sorted(set(groups)), home, shell


def become(uid, gid, groups):
    os.setgroups(groups or [gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def container_environment(hostname, extra):
    """What the runtime gives a container: never anything of the node's."""
    return {"PATH": PATH, "HOSTNAME": hostname, **extra}


def parse_variables(items):
    variables = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not equals or not name or "\0" in item:
            raise Usage(f"'{item}' is not an environment variable: write NAME=VALUE")
        variables[name] = value
    return variables
