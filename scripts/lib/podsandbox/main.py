"""The command line of scripts/pod."""

import argparse
import json
import os
import shutil
import signal
import sys
import time

from . import create, fuse, life, session, users
from .errors import PodError, Unusable, Usage
from .store import Store, checked_name

_DESCRIPTION = "The pod sandbox: pods on this machine, without a cluster."
_EPILOG = """\
exit codes: 0 done, 1 failed, 2 this machine or user cannot run it, 64 wrong usage;
exec and enter: the command's own, 125 not started, 126 not executable, 127 not found.
State is in $PACKET_PODS_DIR (default /var/lib/packet-pods)."""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(64, f"scripts/pod: {message}\n{self.format_usage()}")


def _parser():
    parser = _Parser(
        prog="scripts/pod", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name, text, usage=None):
        return commands.add_parser(name, help=text, description=text, usage=usage)

    pod = add("create", "start a pod", "scripts/pod create NAME [OPTION]... [-- COMMAND [ARGUMENT]...]")
    pod.add_argument("name", metavar="NAME")
    pod.add_argument("--rootfs", default="host", metavar="DIR|host", help="read-only lower layer (default: host)")
    pod.add_argument(
        "--volume",
        default="none",
        metavar="KIND",
        help="none, disk[:SIZE], emptydir, emptydir-memory, node-directory or fuse[:SUBTYPE] (default: none)",
    )
    pod.add_argument("--volume-name", default="my-storage", metavar="NAME", help="mounted at /mnt/NAME")
    pod.add_argument("--volume-source", metavar="TEXT", help="what mountinfo shows as the source of a fuse volume")
    pod.add_argument("--user", default="root", metavar="USER[:GROUP]", help="names or numbers (default: root)")
    pod.add_argument("--nvml", metavar="PATH", help="libnvidia-ml.so.1 or its directory, bound read-only")
    pod.add_argument("--scenario", metavar="FILE", help="copied; seen as /run/nvml-simulator/scenario")
    pod.add_argument("--bind", action="append", default=[], metavar="SRC:DST[:ro]")
    pod.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="the container's environment")
    pod.add_argument("--hostname", metavar="NAME")
    pod.add_argument("--pod-uid", metavar="UID")
    pod.add_argument("--init", action="store_true", help="run COMMAND as a child of a small init, not as PID 1")
    pod.add_argument("--privileged", action="store_true", help="keep all capabilities, mask nothing under /proc")

    pod = add("enter", "a login shell in a pod, on a terminal of the pod")
    pod.add_argument("name", metavar="NAME")
    pod.add_argument("--user", metavar="USER[:GROUP]")

    pod = add("exec", "run a command in a pod", "scripts/pod exec NAME [OPTION]... -- COMMAND [ARGUMENT]...")
    pod.add_argument("name", metavar="NAME")
    pod.add_argument("--user", metavar="USER[:GROUP]")
    pod.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    pod.add_argument("-t", "--tty", action="store_true", help="with a terminal of the pod")

    pod = add("terminate", "end a pod: SIGTERM, grace, SIGKILL; its writable layer is deleted, a disk volume stays")
    pod.add_argument("name", metavar="NAME")
    pod.add_argument("--grace", type=float, default=30, metavar="SECONDS", help="default: 30, as in Kubernetes")

    pod = add("list", "the pods and their states")
    pod.add_argument("--json", action="store_true")

    for name, text in [("logs", "what PID 1 printed"), ("scenario", "the path of a pod's NVML scenario: edit or replace it")]:
        add(name, text).add_argument("name", metavar="NAME")

    pod = add("fuse", "make a pod's FUSE server hang, resume or die")
    pod.add_argument("name", metavar="NAME")
    pod.add_argument(
        "action",
        choices=fuse.CONTROLS,
        help="hang-unread: requests are not read (SIGSTOP); hang-read: read and never answered; kill: the server dies",
    )

    volume = add("volume", "the volumes that outlive pods").add_subparsers(dest="action", required=True, metavar="ACTION")
    made = volume.add_parser("create", help="make one ahead of its first pod")
    made.add_argument("name", metavar="NAME")
    made.add_argument("--kind", choices=("disk", "fuse"), default="disk")
    made.add_argument("--size", metavar="SIZE", help="of a disk (default: 1G, sparse)")
    volume.add_parser("list", help="all volumes").add_argument("--json", action="store_true")
    volume.add_parser("delete", help="delete one with its data").add_argument("name", metavar="NAME")

    pod = add("cleanup", "remove everything that is dead, also what killed commands left")
    pod.add_argument("--all", action="store_true", help="kill running pods too (volumes stay)")
    return parser


def main(arguments):
    command = []
    if "--" in arguments:
        split = arguments.index("--")
        arguments, command = arguments[:split], arguments[split + 1 :]
    options = _parser().parse_args(arguments)
    try:
        if command and options.command not in ("create", "exec"):
            raise Usage(f"{options.command} takes no '-- COMMAND'")
        if os.geteuid() != 0:
            raise Unusable(f"root is needed (mounts and namespaces): sudo scripts/pod {options.command} ...")
        return _COMMANDS[options.command](Store(), options, command)
    except PodError as problem:
        print(f"scripts/pod: {problem}", file=sys.stderr)
        code = problem.code
    except OSError as problem:
        print(f"scripts/pod: {problem}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    return 125 if options.command in ("exec", "enter") and code == 1 else code


def _create(store, options, command):
    started = create.create(store, options, command)
    print(f"pod {options.name} is running (PID {started['pid']} of this machine)")
    return 0


def _enter(store, options, _):
    record = store.existing_pod(options.name).running()
    variables = {"TERM": os.environ["TERM"]} if "TERM" in os.environ else {}
    return session.execute(record, None, options.user, variables, terminal=True)


def _exec(store, options, command):
    if not command:
        raise Usage("exec needs a command: scripts/pod exec NAME -- COMMAND")
    variables = users.parse_variables(options.env)
    record = store.existing_pod(options.name).running()
    return session.execute(record, command, options.user, variables, options.tty)


def _terminate(store, options, _):
    store.sweep()
    pod = store.existing_pod(options.name)
    volume = pod.record().get("volume_id")
    life.terminate(pod, max(0, options.grace))
    print(f"pod {options.name} is terminated, its writable layer is deleted" + (f"; volume {volume} stays" if volume else ""))
    return 0


def _list(store, options, _):
    pods = []
    for pod in store.all_pods():
        record, state = pod.record(), pod.state()
        row = {key: record.get(key) for key in ("name", "uid", "pid", "hostname", "rootfs", "user", "volume", "volume_name")}
        row.update(name=pod.name, state=state, created=record.get("created"), exit_code=pod.exit().get("exit_code"))
        if state not in ("running", "ending"):
            row["pid"] = None
        pods.append(row)
    if options.json:
        print(json.dumps({"schema": "packet-agent/pods/1", "pods": pods}, indent=1))
        return 0
    rows = [("NAME", "STATE", "PID", "VOLUME", "MOUNTED AT", "AGE")]
    for row in pods:
        state = row["state"] + (f" ({row['exit_code']})" if row["exit_code"] is not None else "")
        where = f"/mnt/{row['volume_name']}" if row["volume_name"] else "-"
        age = f"{max(0, time.time() - row['created']):.0f} s" if row["created"] else "-"
        rows.append((row["name"], state, str(row["pid"] or "-"), row["volume"] or "-", where, age))
    _print_table(rows)
    return 0


def _print_table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def _logs(store, options, _):
    try:
        with open(store.existing_pod(options.name).file("console.log"), "rb") as file:
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)
    except FileNotFoundError:
        pass
    return 0


def _scenario(store, options, _):
    path = store.existing_pod(options.name).record().get("scenario")
    if not path:
        raise PodError(f"pod {options.name} was created without --scenario")
    print(path)
    return 0


def _fuse(store, options, _):
    fuse.control(store.existing_pod(options.name).record(), options.action)
    return 0


def _volume(store, options, _):
    store.prepare()
    if options.action == "create":
        with store.exclusively():
            volume = store.volume(options.name)
            if volume.record():
                raise PodError(f"volume {options.name} exists already")
            if options.kind == "fuse" and options.size:
                raise Usage("a fuse volume has no size of its own")
            create.check_machine("none")
            volume.create(options.kind, options.size)
        print(f"volume {options.name} is made: scripts/pod create POD --volume {options.kind} --volume-name {options.name}")
    elif options.action == "delete":
        with store.exclusively():
            volume = store.volume(options.name)
            if not volume.record():
                raise PodError(f"there is no volume {checked_name(options.name, 'volume')}")
            volume.delete()
        print(f"volume {options.name} and its data are deleted")
    else:
        volumes = []
        for volume in store.all_volumes():
            record = volume.record()
            if record:
                record["attached_to"] = volume.attached_to()
                record["path"] = volume.image if record["kind"] == "disk" else volume.tree
                volumes.append(record)
        if options.json:
            print(json.dumps({"schema": "packet-agent/pod-volumes/1", "volumes": volumes}, indent=1))
        else:
            rows = [("NAME", "KIND", "SIZE", "ATTACHED TO", "PATH")]
            for record in volumes:
                size = f"{record['size_bytes'] >> 20} MiB" if record.get("size_bytes") else "-"
                rows.append((record["name"], record["kind"], size, record["attached_to"] or "-", record["path"]))
            _print_table(rows)
    return 0


def _cleanup(store, options, _):
    store.prepare()
    removed = []
    if options.all:
        for pod in store.all_pods():
            life.kill(pod, pod.record())
            removed.append(pod.name)
    removed += store.sweep(everything=True)
    print(f"removed: {', '.join(removed) or 'nothing'}")
    return 0


_COMMANDS = {
    "create": _create,
    "enter": _enter,
    "exec": _exec,
    "terminate": _terminate,
    "list": _list,
    "logs": _logs,
    "scenario": _scenario,
    "fuse": _fuse,
    "volume": _volume,
    "cleanup": _cleanup,
}
