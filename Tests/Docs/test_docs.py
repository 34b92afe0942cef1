"""Every command with a `$` in docs/operators.md and docs/users.md, in order, in a pod: scripts/test-docs.

In an indented block `$ ` begins a command and `> ` continues it; other lines are output and are not compared. A command ends
with status 0 unless `# exit N` ends its line.
"""

import json
import pathlib
import re
import unittest

from support import BIN, PACKAGES, ROOT, VOLUME, WithPod, run


def commands(page):
    """(line, text, expected status) of each command of a page."""
    found = []
    for number, line in enumerate((ROOT / "docs" / page).read_text().splitlines(), 1):
        if line.startswith("    $ "):
            found.append([number, line[6:]])
        elif line.startswith("    > "):
            found[-1][1] += "\n" + line[6:]
    for number, text in found:
        status = re.search(r"  # exit (\d+)$", text)
        yield number, text, int(status.group(1)) if status else 0


class Documented(WithPod):
    def execute(self, page):
        seen = 0
        for line, text, expected in commands(page):
            done = self.inside(text, check=False)
            self.assertEqual(done.returncode, expected, f"docs/{page}:{line}: {text}\n{done.stdout}{done.stderr}")
            seen += 1
        self.assertGreater(seen, 10)

    def test_operators(self):
        binds = [f"--bind={deb}:/root/{deb.name}:ro" for deb in PACKAGES.glob("packet-agent_*.deb")]
        binds += [f"--bind={BIN}/packet-control:/usr/bin/packet-control:ro"]
        library = next(pathlib.Path("/usr/lib").glob("*/libsqlite3.so.0"))
        binds += [f"--bind={library}:/usr/lib/libsqlite3.so.0:ro"]
        self.create("--init", *binds)
        self.execute("operators.md")

    def test_users(self):
        url, subscription = self.control_plane()
        (self.directory / "etc").mkdir()
        (self.directory / "etc/config.toml").write_text(
            f'[control_plane]\nurl = "{url}"\npod_uid = "{subscription["podUid"]}"\n'
            f'[storage]\nvolumes = ["/mnt/{VOLUME}"]\n')
        (self.directory / "secrets").mkdir()
        token = self.directory / "secrets/token"
        token.touch(0o600)
        token.write_text(subscription["podToken"])
        self.create("--pod-uid", subscription["podUid"], f"--bind={BIN}/packet-agent:/usr/bin/packet-agent:ro",
                    f"--bind={self.directory}/etc:/etc/packet-agent:ro",
                    f"--bind={self.directory}/secrets:/run/secrets/packet-agent:ro",
                    command=("packet-agent", "init", "--", "sleep", "infinity"))
        self.inside("packet-agent status --wait=60")
        self.execute("users.md")


class Pages(unittest.TestCase):
    def test_every_command_of_the_program_that_a_page_names_exists(self):
        root = json.loads(run(BIN / "packet-agent", "--experimental-dump-help").stdout)["command"]
        known = {c["commandName"] for c in root["subcommands"]}
        for page in ("operators.md", "users.md", "entrypoint.md"):
            named = set(re.findall(r"packet-agent ([a-z]+(?:-[a-z]+)*)", "\n".join(
                text for text in re.findall(r"`([^`]*)`", (ROOT / "docs" / page).read_text()))))
            self.assertEqual(named - known, set(), page)

    def test_links_lead_somewhere(self):
        for page in (ROOT / "docs").glob("*.md"):
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    unittest.main()
