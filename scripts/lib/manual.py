"""Man pages and the commented configuration file, made from what the programs say about themselves.

    manual.py pages AGENT CONTROL DIR     packet-agent(1), a page for each of its commands, packet-agent.toml(5),
                                          packet-control(1)
    manual.py configuration AGENT         config.toml with every key commented out at its default

The sources are --experimental-dump-help (ArgumentParser's ToolInfo, serialization version 0) and `packet-agent config`.
SOURCE_DATE_EPOCH dates the pages.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap

CONFIGURATION = "/etc/packet-agent/config.toml"
FILES = [
    (CONFIGURATION, "Configuration; see packet-agent.toml(5)."),
    ("/run/packet-agent/", "Socket, variables for sessions (env.sh), reports of boot and set-up."),
    ("/var/lib/packet-agent/", "Usage records that wait for delivery, image baseline, journal of changed files."),
    ("/mnt/VOLUME/setup.sh", "Run once at every container start."),
    ("/mnt/VOLUME/.packet/", "The volume's identity and the agent's notes on it."),
]


def output(*command):
    # Nothing of the machine that makes the pages may show in them.
    clean = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=clean).stdout


def escape(text):
    """Text that troff(7) shows as it is; a hyphen stays one that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def bold(text):
    return f"\\fB{escape(text)}\\fR"


def italic(text):
    return f"\\fI{escape(text)}\\fR"


def paragraphs(text):
    """Lines of man(7) for text whose paragraphs are parted by empty lines; sentences begin lines."""
    lines = []
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        lines += [".PP"] if number else []
        lines += escape(re.sub(r"(?<=[.;:]) (?=[A-Z\"])", "\n", " ".join(paragraph.split()))).split("\n")
    return lines


class Page:
    def __init__(self, name, section, summary, version):
        date = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
        self.file = f"{name}.{section}"
        program = "packet-control" if name == "packet-control" else "packet-agent"
        self.lines = [
            f'.TH "{escape(name.upper())}" "{section}" "{date:%Y-%m-%d}" "{escape(program)} {version}"',
            ".SH NAME", f"{escape(name)} \\- {escape(summary.rstrip('.'))}",
        ]

    def section(self, title, lines):
        if lines:
            self.lines += [f".SH {title}"] + lines

    def write(self, directory):
        (directory / self.file).write_text("\n".join(self.lines) + "\n")


def shown(items):
    return [item for item in items if item.get("shouldDisplay", True)]


def arguments(command):
    """The command's arguments and those of a default subcommand that help does not list (env for env show).

    --version and --help are the program's own, though each command takes them.
    """
    own = list(command.get("arguments", []))
    for child in command.get("subcommands", []):
        if child["commandName"] == command.get("defaultSubcommand") and not child.get("shouldDisplay", True):
            own = child["arguments"] + own
    common = ("version", "help") if command.get("superCommands") else ()
    return [a for a in shown(own) if not (a["kind"] == "flag" and a["valueName"] in common)]


def names(argument):
    def written(name):
        return ("-" if name["kind"] == "short" else "--") + name["name"]

    order = {"short": 0, "long": 1, "longWithSingleDash": 1}
    return [written(n) for n in sorted(argument.get("names", []), key=lambda n: order[n["kind"]])]


def synopsis(words, command):
    parts = [bold(" ".join(words))]
    if shown(command.get("subcommands", [])):
        parts.append(("[{}]" if command.get("defaultSubcommand") else "{}").format(italic("COMMAND")))
    for argument in arguments(command):
        value = italic(argument["valueName"].upper())
        if argument["kind"] == "positional":
            text = value
        elif argument["kind"] == "option":
            text = f"{bold(names(argument)[-1])} {value}"
        elif argument["valueName"] == "help":
            continue
        else:
            text = bold(names(argument)[-1])
        text += "..." if argument.get("isRepeating") else ""
        parts.append(f"[{text}]" if argument.get("isOptional") else text)
    return [".nh", ".ad l", " ".join(parts), ".ad b", ".hy"]


def options(command):
    lines = []
    for argument in arguments(command):
        value = italic(argument["valueName"].upper())
        if argument["kind"] == "positional":
            tag = value
        else:
            tag = ", ".join(bold(name) for name in names(argument))
            tag += f" {value}" if argument["kind"] == "option" else ""
        text = argument.get("abstract", "")
        if argument.get("defaultValue"):
            text += f" Default: {argument['defaultValue']}."
        lines += [".TP", tag] + paragraphs(text)
    return lines


def subcommands(words, command):
    """Each command below this one in full."""
    lines = []
    for child in shown(command.get("subcommands", [])):
        if child["commandName"] == "help":
            continue
        path = words + [child["commandName"]]
        lines += [f'.SS "{escape(" ".join(path))}"'] + synopsis(path, child)
        for text in (child.get("abstract", ""), child.get("discussion", "")):
            lines += ([".PP"] + paragraphs(text)) if text else []
        lines += options(child)
        lines += subcommands(path, child)
    return lines


def statuses(page, text, otherwise):
    """A discussion's sentence on the exit status gets a section of its own."""
    found = re.search(r"Exit status:\s*(.*)\Z", text, re.S)
    page.section("DESCRIPTION", paragraphs(text[: found.start()] if found else text))
    return paragraphs(found.group(1)) if found else otherwise


def command_page(words, command, version, see, children):
    page = Page("-".join(words), 1, command["abstract"], version)
    page.section("SYNOPSIS", synopsis(words, command))
    discussion = "\n\n".join(filter(None, [command["abstract"], command.get("discussion")]))
    exits = statuses(page, discussion, [])
    page.section("OPTIONS", options(command))
    page.section("COMMANDS", children)
    page.section("EXIT STATUS", exits or paragraphs(
        "0 done; 1 the thing asked for failed; 2 the command could not do its work; 64 wrong usage."))
    if len(words) == 1 and words[0] == "packet-agent":
        page.section("FILES", [line for path, text in FILES for line in [".TP", italic(path)] + paragraphs(text)])
        page.section("ENVIRONMENT", [
            ".TP", "\\fBPACKET_AGENT_\\fISECTION\\fB_\\fIKEY\\fR", "Overrides a key of the configuration file.",
            ".TP", bold("NO_COLOR")] + paragraphs("Text without colour also on a terminal."))
    last = len(see) - 1
    page.section("SEE ALSO", [f".BR {escape(name)} ({number}){',' if index < last else ''}"
                              for index, (name, number) in enumerate(see)])
    return page


def settings(agent):
    """(section, key, default as TOML, summary) of each key."""
    section, found = "", []
    for line in output(agent, "config", "--file", "/dev/null").splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header.group(1)
        elif key := re.fullmatch(r"(\w+) = (.*?)  # default; (.*)", line):
            found.append((section, *key.groups()))
        elif line:
            raise SystemExit(f"manual.py: `packet-agent config` printed what is no key: {line}")
    return found


def configuration(agent):
    lines = [
        "# Configuration of packet-agent; see packet-agent.toml(5). Every key is shown with its default.",
        "# After a change: packet-agent config check, then start the agent anew.",
    ]
    section = ""
    for table, key, default, summary in settings(agent):
        if table != section:
            lines += ["", f"[{table}]"]
            section = table
        lines += textwrap.wrap(summary, 110, initial_indent="# ", subsequent_indent="# ")
        lines.append(f"#{key} = {default}")
    return "\n".join(lines) + "\n"


def settings_page(agent, version):
    page = Page("packet-agent.toml", 5, "configuration of packet-agent", version)
    page.section("SYNOPSIS", [italic(CONFIGURATION)])
    page.section("DESCRIPTION", paragraphs(
        "A TOML file. Every key has a default, so that an empty file or none is a configuration. A mistake in a key makes the "
        "agent use its default and say so; packet-agent config check shows each with line and column.\n\n"
        "A variable PACKET_AGENT_SECTION_KEY overrides a key, for example PACKET_AGENT_GPU_SAMPLE_INTERVAL_MS; lists are "
        "separated by commas. PACKET_AGENT_CONFIG names another file."))
    section, lines = "", []
    for table, key, default, summary in settings(agent):
        if table != section:
            lines += [f".SS [{escape(table)}]"]
            section = table
        lines += [".TP", f"{bold(key)} = {escape(default)}"] + paragraphs(summary)
    page.section("KEYS", lines)
    page.section("SEE ALSO", [".BR packet\\-agent (1),", ".BR packet\\-agent\\-config (1)"])
    return page


def pages(agent, control, directory):
    directory = pathlib.Path(directory)
    version = output(agent, "--version").strip()
    root = json.loads(output(agent, "--experimental-dump-help"))["command"]
    commands = [c for c in shown(root["subcommands"]) if c["commandName"] != "help"]
    each = [f"packet-agent-{c['commandName']}" for c in commands]
    overview = [line for c in commands for line in [
        ".TP", f"\\fBpacket\\-agent\\-{escape(c['commandName'])}\\fR(1)"] + paragraphs(c["abstract"])]
    see = [(name, 1) for name in each]
    command_page(["packet-agent"], root, version, [("packet-agent.toml", 5)] + see, overview).write(directory)
    for command in commands:
        words = ["packet-agent", command["commandName"]]
        command_page(words, command, version, [("packet-agent", 1), ("packet-agent.toml", 5)],
                     subcommands(words, command)).write(directory)
    settings_page(agent, version).write(directory)
    root = json.loads(output(control, "--experimental-dump-help"))["command"]
    words = ["packet-control"]
    command_page(words, root, output(control, "--version").strip(), [("packet-agent", 1)],
                 subcommands(words, root)).write(directory)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["pages", agent, control, directory]:
            pages(agent, control, directory)
        case ["configuration", agent]:
            sys.stdout.write(configuration(agent))
        case _:
            sys.exit(__doc__)
