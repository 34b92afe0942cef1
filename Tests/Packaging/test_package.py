"""The files that scripts/package makes."""

import gzip
import json
import os
import pathlib
import re
import tarfile
import tempfile
import textwrap
import unittest

from support import AGENT_DEB, BIN, CONTROL_DEB, PACKAGES, ROOT, WithChroot, one, run


def unpacked(deb, directory):
    run("dpkg-deb", "-x", deb, directory)
    return pathlib.Path(directory)


class Files(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def test_lintian_finds_nothing(self):
        # The maintainer's address is the builder's own; the hardening tag is experimental and asks for what the
        # systemd unit's own test measures.
        run("lintian", "--fail-on", "error,warning,info,pedantic", "--display-info", "--pedantic", "--suppress-tags",
            "bogus-mail-host,bogus-mail-host-in-debian-changelog,root-in-contact", AGENT_DEB, CONTROL_DEB)

    def test_checksums_cover_every_file(self):
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=PACKAGES)
        listed = {line.split("  ")[1] for line in (PACKAGES / "SHA256SUMS").read_text().splitlines()}
        self.assertEqual(listed, {p.name for p in PACKAGES.iterdir()} - {"SHA256SUMS"})

    def test_the_same_binaries_give_the_same_bytes(self):
        run(ROOT / "scripts/package", self.directory / "again", env=dict(os.environ))
        self.assertEqual((self.directory / "again/SHA256SUMS").read_text(), (PACKAGES / "SHA256SUMS").read_text())

    def test_the_architecture_and_the_c_library_are_those_of_the_binary(self):
        fields = run("dpkg-deb", "-f", AGENT_DEB, "Architecture", "Depends").stdout
        self.assertIn(f"Architecture: {run('dpkg', '--print-architecture').stdout.strip()}\n", fields)
        floor = re.search(r"libc6 \(>= ([0-9.]+)\)", fields).group(1)
        budget = re.search(r"^glibc = (.*)", (ROOT / "Budgets/binary").read_text(), re.M).group(1)
        run("dpkg", "--compare-versions", floor, "le", budget)

    def test_manual_pages_render_without_a_warning(self):
        root = unpacked(AGENT_DEB, self.directory)
        unpacked(CONTROL_DEB, self.directory)
        pages = sorted((root / "usr/share/man").rglob("*.gz"))
        commands = json.loads(run(BIN / "packet-agent", "--experimental-dump-help").stdout)["command"]["subcommands"]
        expected = {f"packet-agent-{c['commandName']}.1.gz" for c in commands if c["commandName"] != "help"}
        expected |= {"packet-agent.1.gz", "packet-agent.toml.5.gz", "packet-control.1.gz"}
        self.assertEqual({p.name for p in pages}, expected)
        for page in pages:
            plain = self.directory / page.stem
            plain.write_bytes(gzip.decompress(page.read_bytes()))
            shown = run("man", "--warnings", "-E", "UTF-8", "-l", plain, env=dict(os.environ, MANWIDTH="100"))
            self.assertEqual(shown.stderr, "", page.name)
            lint = run("mandoc", "-Tlint", "-W", "warning", plain, check=False)
            self.assertEqual(lint.stdout + lint.stderr, "", page.name)
            self.assertIn("SYNOPSIS", shown.stdout)

    def test_the_manual_has_every_key_and_option(self):
        root = unpacked(AGENT_DEB, self.directory)
        text = gzip.decompress((root / "usr/share/man/man5/packet-agent.toml.5.gz").read_bytes()).decode()
        for key in re.findall(r"^(\w+) = ", run(BIN / "packet-agent", "config", "--file", "/dev/null").stdout, re.M):
            self.assertIn(f"\\fB{key}\\fR", text)
        text = gzip.decompress((root / "usr/share/man/man1/packet-agent-env.1.gz").read_bytes()).decode()
        self.assertIn("\\fB\\-\\-format\\fR", text)

    def test_completions_load_and_complete(self):
        root = unpacked(AGENT_DEB, self.directory)
        share = root / "usr/share"
        path = {"PATH": f"{root}/usr/bin:{os.environ['PATH']}", "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        bash = run("bash", "--norc", "-c", textwrap.dedent(f"""
            set -e
            . /usr/share/bash-completion/bash_completion
            . {share}/bash-completion/completions/packet-agent
            COMP_WORDS=(packet-agent doc) COMP_CWORD=1 COMP_LINE='packet-agent doc' COMP_POINT=16 COMP_TYPE=9
            function=$(complete -p packet-agent | sed 's/.*-F \\([^ ]*\\).*/\\1/')
            $function packet-agent doc packet-agent
            printf '%s\\n' "${{COMPREPLY[@]}}" """), env=path)
        self.assertIn("doctor", bash.stdout)
        self.assertEqual(bash.stderr, "")
        fish = run("fish", "--no-config", "-c",
                   f"source {share}/fish/vendor_completions.d/packet-agent.fish; complete -C 'packet-agent doc'", env=path)
        self.assertIn("doctor", fish.stdout)
        self.assertEqual(fish.stderr, "")
        # zsh completes on a terminal only: one of its own, typed into.
        zsh = run("zsh", "-f", "-c", textwrap.dedent(f"""
            zmodload zsh/zpty
            zpty shell zsh -f -i
            zpty -w shell 'PS1=; fpath=({share}/zsh/vendor-completions $fpath); autoload -U compinit; compinit -u -D'
            zpty -w shell 'echo rea""dy'
            zpty -m -r shell output '*ready*'
            zpty -n -w shell $'packet-agent doc\\t --version; echo en""ded\\n'
            zpty -m -r shell output '*ended*ended*'
            print -r -- $output """), env=path, timeout=60)
        self.assertRegex(zsh.stdout, r"packet-agent doc.*doctor|doctor")

    def test_the_bills_of_materials_are_valid_and_name_what_is_linked(self):
        for program in ("packet-agent", "packet-control"):
            bill = one(f"{program}-*.cdx.json")
            run(os.environ["CYCLONEDX_PYTHON"], "-c", textwrap.dedent("""
                import sys
                from cyclonedx.schema import SchemaVersion
                from cyclonedx.validation.json import JsonStrictValidator
                error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
                sys.exit(str(error) if error else 0)"""), bill)
            document = json.loads(bill.read_text())
            names = {c["name"] for c in document["components"]}
            self.assertLessEqual({"swift", "swift-nio", "swift-log", "boringssl"}, names)
            self.assertEqual("hummingbird" in names, program == "packet-control")
            self.assertEqual("grdb.swift" in names, program == "packet-control")
            references = {c["bom-ref"] for c in document["components"]} | {document["metadata"]["component"]["bom-ref"]}
            for entry in document["dependencies"]:
                self.assertLessEqual({entry["ref"], *entry["dependsOn"]}, references)
            for package in document["components"]:
                self.assertNotIn("unspecified", package.get("version", ""))

    def test_nothing_names_the_machine_that_built_it(self):
        unpacked(AGENT_DEB, self.directory)
        for path in self.directory.rglob("*"):
            if path.is_file() and path.name != "packet-agent":
                data = path.read_bytes()
                data = gzip.decompress(data) if path.suffix == ".gz" else data
                self.assertNotIn(str(ROOT).encode() + b"/", data, path)


class Tarball(WithChroot):
    def test_it_runs_where_it_is_unpacked_and_installs_below_a_prefix(self):
        with tarfile.open(one("packet-agent-*.tar.gz")) as archive:
            name = archive.getnames()[0]
            archive.extractall(self.chroot.path("/opt"))
        self.chroot("mv", f"/opt/{name}", "/opt/elsewhere")
        version = self.chroot("/opt/elsewhere/bin/packet-agent", "--version").stdout
        self.assertIn("no mistakes", self.chroot(
            "/opt/elsewhere/bin/packet-agent", "config", "check", "--file", "/opt/elsewhere/config.toml").stdout)
        self.chroot.path("/etc/packet-agent").mkdir()
        self.chroot.path("/etc/packet-agent/config.toml").write_text("[agent]\nimage = \"mine\"\n")
        self.chroot("/opt/elsewhere/install", "/usr/local")
        self.assertEqual(self.chroot("packet-agent", "--version").stdout, version)
        self.assertIn('image = "mine"', self.chroot.path("/etc/packet-agent/config.toml").read_text())
        unit = self.chroot.path("/etc/systemd/system/packet-agent.service").read_text()
        self.assertIn("ExecStart=/usr/local/bin/packet-agent run", unit)
        self.assertEqual(self.chroot.processes(), [])


if __name__ == "__main__":
    unittest.main()
