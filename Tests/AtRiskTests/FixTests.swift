import Glibc
import LinuxKit
import Storage
import Testing

@testable import AtRisk

/// True when virtual environments can be made: Debian puts that into a package of its own.
let hasVenv: Bool = {
    let captured = try? ChildProcess.capture(
        .init(
            executable: "/bin/sh",
            arguments: ["-c", "python3 -c 'import ensurepip, venv' && python3 -m pip --version"],
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"]),
        milliseconds: 60_000)
    return captured?.termination == .exited(0)
}()

@Suite("fixes, run for real", .enabled(if: hasVenv, "needs python3 with venv and pip"))
struct FixTests {
    /// Wheels of `demo` 1.0 and 2.0 in `wheels`, made without any build tool, and pip that knows only these.
    private static let wheels = """
        export PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels PIP_DISABLE_PIP_VERSION_CHECK=1
        python3 - <<'END'
        import os, zipfile
        os.mkdir("wheels")
        for version in "1.0", "2.0":
            info = f"demo-{version}.dist-info"
            with zipfile.ZipFile(f"wheels/demo-{version}-py3-none-any.whl", "w") as wheel:
                wheel.writestr("demo/__init__.py", f"version = '{version}'\\n")
                wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: demo\\nVersion: {version}\\n")
                wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
                wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\ndemo = demo:main\\n")
                wheel.writestr(f"{info}/RECORD", "")
        END
        """

    private func group(_ kind: AtRiskKind, in tree: ScratchTree) throws -> AtRiskScan.Group {
        let groups = try tree.scan(volume: tree.path.appending("volume")).groups
        return try #require(groups.first { $0.kind == kind }, "\(groups.map(\.id))")
    }

    private func run(_ fix: AtRiskFix?, in tree: ScratchTree) throws {
        let command = try #require(fix?.command)
        let captured = try tree.run(
            "cd \(tree.path); export PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels; set -e; mkdir -p volume; \(command)")
        #expect(captured.termination == .exited(0), "\(command)\n\(String(decoding: captured.output, as: UTF8.self))")
    }

    private func text(_ tree: ScratchTree, _ path: String) throws -> String {
        try LocalFile.readText(tree.path.appending(path).description)
    }

    @Test("packages that pip installed are installed again on the volume, in the same version")
    func pip() throws {
        let tree = try ScratchTree(
            "\(Self.wheels)\npython3 -m pip install -q --target lib/python3.11/site-packages demo==1.0")
        let group = try group(.pipPackages, in: tree)
        #expect(group.title == "1 pip package: demo 1.0")
        try run(group.fix, in: tree)
        #expect(try text(tree, "volume/pip-packages/demo/__init__.py") == "version = '1.0'\n")
        // And once more: a fix may be repeated.
        try run(group.fix, in: tree)
    }

    @Test("the list of a virtual environment makes the same environment again", arguments: ["", "--without-pip"])
    func virtualEnvironment(option: String) throws {
        let tree = try ScratchTree(
            """
            \(Self.wheels)
            python3 -m venv \(option) "my env"; python3 -m pip --python "my env/bin/python" install -q demo==2.0
            """)
        let group = try group(.virtualEnvironment, in: tree)
        #expect(group.title == "virtual environment my env")
        try run(group.fix, in: tree)
        #expect(try text(tree, "volume/envs/my env.txt") == "demo==2.0\n")
        let again = try tree.run(
            """
            cd \(tree.path); export PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels; python3 -m venv again >&2 \
                && again/bin/python -m pip install -q -r "volume/envs/my env.txt" >&2 && again/bin/python -c 'import demo; print(demo.version)'
            """)
        #expect(String(decoding: again.output, as: UTF8.self).hasSuffix("2.0\n"))
    }

    @Test("the line for the distribution's packages is what apt-get must be told")
    func apt() throws {
        let tree = try ScratchTree(
            "mkdir bin volume; printf '#!/bin/sh\\necho \"$@\" >> \(FixTests.log)\\n' > bin/apt-get; chmod 755 bin/apt-get"
        )
        let fix = Rescue.fix(
            for: Grouping.Key(.distributionPackages, "/var/lib/dpkg", ""),
            packages: [.init(name: "jq", old: nil, new: "1.6"), .init(name: "less", old: "590", new: nil)],
            volume: tree.path.appending("volume"))
        try run(fix, in: tree)
        let captured = try tree.run("cd \(tree.path); PATH=$PWD/bin:$PATH; sh volume/setup.sh")
        #expect(captured.termination == .exited(0))
        #expect(try text(tree, FixTests.log) == "update\ninstall -y jq\n")
    }

    private static let log = "asked"

    @Test("a conda environment is exported by conda's own command, with its pip packages")
    func conda() {
        let fix = Rescue.fix(
            for: Grouping.Key(.conda, "/opt/conda/envs/a b", ""), packages: [], volume: "/mnt/v")
        #expect(
            fix?.command == "mkdir -p /mnt/v/envs && conda env export -p '/opt/conda/envs/a b' > /mnt/v/envs/'a b.yml'")
    }
}
