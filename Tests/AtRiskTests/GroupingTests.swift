import FoundationEssentials
import LinuxKit
import Testing

@testable import AtRisk
@testable import Storage

@Suite("grouping and records")
struct GroupingTests {
    private func key(
        _ path: BytePath, changed: [BytePath] = [], known: [KnownLocation] = [], repositories: Set<BytePath> = []
    ) -> Grouping.Key {
        var all = ChangedFiles()
        for path in changed + [path] { all.add(path) }
        let grouping = Grouping(
            changed: all, known: known + KnownLocation.defaults(homes: ["/root"]), homes: ["/root"],
            records: PackageRecords(changed: all, image: nil, onDisk: { $0 }), repositories: repositories)
        return grouping.key(for: path.lastComponent.bytes[...], in: grouping.context(of: path.parent))
    }

    @Test(
        "files are named for what they are",
        arguments: [
            (
                "/root/.cache/huggingface/hub/models--meta-llama--Llama-3.1-8B/blobs/x", "hf-hub",
                "meta-llama/Llama-3.1-8B"
            ),
            ("/root/.cache/huggingface/hub/.locks/models--gpt2/x.lock", "hf-hub", "gpt2"),
            ("/data/hub/datasets--a--b/refs/main", "hf-hub", "a/b (dataset)"),
            ("/root/.cache/huggingface/datasets/org___name/default/x.arrow", "hf-datasets", "org/name"),
            ("/root/.cache/huggingface/token", "secret", "Hugging Face token"),
            ("/root/.cache/huggingface/xet/x", "model-cache", "Hugging Face transfer cache"),
            ("/root/.cache/torch/hub/checkpoints/resnet.pth", "model-cache", "PyTorch hub"),
            ("/root/.triton/cache/x", "compile-cache", "Triton kernels"),
            ("/usr/lib/python3/dist-packages/x.py", "pip-packages", "files in /usr/lib/python3/dist-packages"),
            ("/opt/x/model.safetensors", "checkpoint", "weights in /opt/x"),
            ("/opt/out/checkpoint-5/optimizer.bin", "checkpoint", "checkpoints in /opt/out"),
            ("/opt/out/checkpoint-best/optimizer.bin", "checkpoint", "checkpoints in /opt/out"),
            ("/opt/out/checkpoint-/optimizer.bin", "other", "files in /opt/out"),
            ("/opt/train/shard-0.parquet", "dataset", "data in /opt/train"),
            ("/root/nltk_data/corpora/x", "dataset", "NLTK data"),
            ("/srv/app/.env", "secret", ".env in /srv/app"), ("/root/.netrc", "secret", ".netrc"),
            ("/srv/nb/.ipynb_checkpoints/a.ipynb", "notebook", "notebooks in /srv/nb"),
            ("/root/.config/app/x.toml", "dotfile", "settings in /root"),
            ("/root/.bash_history", "dotfile", "settings in /root"),
            ("/root/.jupyter/server.json", "dotfile", "settings in /root"),
            ("/root/.jupyter/a.ipynb", "dotfile", "settings in /root"),
            ("/root/.ssh/id_rsa", "secret", "SSH keys"), ("/root/.config/gh/hosts.yml", "secret", "GitHub token"),
            ("/root/.nv/ComputeCache/x", "compile-cache", "CUDA kernels"),
            ("/root/.cache/whisper/x.pt", "model-cache", "Whisper models"),
            ("/root/.cache/pypoetry/x", "pip-cache", "Poetry cache"),
            ("/root/.cache/pypoetry/virtualenvs/x", "venv", "Poetry environments"),
            ("/root/file", "other", "files in /root"), ("/root/dir/sub/file", "other", "files in /root/dir"),
            ("/usr/local/bin/x", "other", "files in /usr/local"), ("/file", "other", "files in /"),
            ("/tmp/a/b", "other", "files in /tmp"),
        ])
    func kinds(path: String, kind: String, title: String) {
        let found = key(BytePath(path))
        #expect(found.kind.rawValue == kind)
        #expect(found.title == title)
    }

    @Test("the innermost known place decides, and those of the catalog count like the built-in ones")
    func known() {
        let places = [
            KnownLocation(kind: .dataset, path: "/data", title: "data"),
            KnownLocation(kind: .modelCache, path: "/data/models", title: "models"),
        ]
        #expect(key("/data/models/x", known: places).title == "models")
        #expect(key("/data/x", known: places).kind == .dataset)
        #expect(key("/database/x", known: places).kind == .other)
    }

    @Test("where a tool keeps its environments each of them is a group")
    func environments() {
        let found = key(
            "/root/.cache/pypoetry/virtualenvs/a/lib/x.py", changed: ["/root/.cache/pypoetry/virtualenvs/a/pyvenv.cfg"])
        #expect(found.kind == .virtualEnvironment)
        #expect(found.title == "virtual environment a")
    }

    @Test("a conda environment is known by its records")
    func conda() {
        let found = key("/opt/conda/lib/x.so", changed: ["/opt/conda/conda-meta/numpy-1.json"])
        #expect(found.kind == .conda)
        #expect(found.path == "/opt/conda")
    }

    @Test("MD5 gives what RFC 1321 lists, and what md5sum says for lengths around a block")
    func md5() throws {
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"), ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a"
            ),
        ] {
            #expect(MD5.hexadecimal(Array(text.utf8)) == Array(digest.utf8))
        }
        let tree = try ScratchTree("true")
        for length in [55, 56, 57, 63, 64, 65, 119, 120, 1000] {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let path = tree.path.appending("\(length)").description
            try AtomicFile.write(bytes, to: path)
            #expect(try tree.run("md5sum < \(path)").output.starts(with: MD5.hexadecimal(bytes)))
        }
    }

    @Test("of several names of one file the first by path counts, in whatever order they are found")
    func hardLinks() {
        for order in [["/b/x", "/a/z", "/a/y"], ["/a/y", "/b/x", "/a/z"], ["/a/z", "/a/y", "/b/x"]] {
            var changed = ChangedFiles()
            for path in order { changed.add(BytePath(path), links: 3, bytes: 4096) }
            changed.countLinksOnce()
            var counted: [String] = []
            for directory in changed.directories {
                directory.forEach { name, bytes in
                    if bytes != nil { counted.append(directory.path.appending(name).description) }
                }
            }
            #expect(counted == ["/a/y"])
            #expect(changed.contains("/b/x") && changed.contains("/a/z") && !changed.contains("/a/x"))
        }
    }

    @Test("locks of the Hugging Face hub are nobody's work")
    func hubLocks() {
        #expect(NotTheUsers.coversTree("/root/.cache/huggingface/hub/.locks/models--gpt2", own: []))
        #expect(!NotTheUsers.coversTree("/root/.cache/huggingface/hub/models--gpt2", own: []))
        #expect(!NotTheUsers.coversTree("/srv/.locks/mine", own: []))
    }

    @Test("byte code is nobody's work while its source is unchanged")
    func byteCode() {
        let path: BytePath = "/a/__pycache__/b.cpython-311.opt-1.pyc"
        #expect(NotTheUsers.byteCodeSource(path) == "/a/b.py")
        #expect(NotTheUsers.covers(path, own: [], isChanged: { _ in false }))
        #expect(!NotTheUsers.covers(path, own: [], isChanged: { $0 == "/a/b.py" }))
        #expect(!NotTheUsers.covers("/a/b.pyc", own: [], isChanged: { _ in false }))
    }

    @Test("many packages are counted, and the first eight named")
    func list() {
        #expect(Grouping.list(["a 1", "b 2"], one: "pip package", many: "pip packages") == "2 pip packages: a 1, b 2")
        #expect(
            Grouping.list((1...9).map { "p\($0)" }, one: "x", many: "y") == "9 y: p1, p2, p3, p4, p5, p6, p7, p8, …")
        #expect(ImagePackages.pythonPackage("torch-2.4.0+cu121.dist-info")! == ("torch", "2.4.0+cu121"))
        #expect(ImagePackages.pythonPackage("nodash.dist-info") == nil)
        #expect(ImagePackages.pythonPackage("old_name-1.0-py3.11.egg-info")! == ("old_name", "1.0"))
    }

    @Test("words for sh are quoted so that sh reads them back, or refused")
    func quoting() throws {
        for word in ["plain/path-1.2", "two words", "it's", "$HOME `id` \"x\" \\ ; & | < > * ? [a] ~ # !", "é"] {
            let quoted = try #require(ShellWord.quote(BytePath(word)))
            let captured = try ChildProcess.capture(
                .init(executable: "/bin/sh", arguments: ["-c", "printf %s \(quoted)"], environment: [:]),
                milliseconds: 30_000)
            #expect(String(decoding: captured.output, as: UTF8.self) == word)
        }
        #expect(ShellWord.quote("a\nb") == nil)
        #expect(ShellWord.quote("\u{202e}evil") == nil)
        #expect(ShellWord.quote(BytePath(bytes: [0x2f, 0xff])) == nil)
    }

    @Test("a baseline is read back as it was written, whatever the names, and damage loses single lines only")
    func baseline() {
        let time = FileStatus.Time(seconds: 1_700_000_000, nanoseconds: 7)
        let names: [BytePath] = ["/a b", "/new\nline", "/back\\slash\\n", BytePath(bytes: [0x2f, 0xff])]
        let baseline = Baseline(entries: Dictionary(uniqueKeysWithValues: names.map { ($0, time) }))
        #expect(Baseline(parsing: baseline.contents) == baseline)
        #expect(Baseline(parsing: baseline.contents + Array("nonsense\n1.2 /x\n".utf8)) == baseline)
        #expect(Baseline(parsing: Array("another header\n".utf8)).entries.isEmpty)
    }

    @Test("the document has the keys of the contract")
    func report() throws {
        let group = AtRiskScan.Group(
            id: "secret:/root/.ssh", kind: .secret, title: "SSH keys", path: "/root/.ssh", lifetime: .container,
            bytes: 4096,
            files: 1, fix: nil)
        let other = AtRiskScan.Group(
            id: "other:/x", kind: .other, title: "files in /x", path: BytePath(bytes: [0x2f, 0xff]), lifetime: .pod,
            bytes: 1, files: 2,
            fix: AtRiskFix(command: "true", safe: true))
        let report = AtRiskReport(
            .init(groups: [group, other], isComplete: true, problems: []),
            at: .init(seconds: 1_700_000_000, nanoseconds: 5))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let text = String(decoding: try encoder.encode(report), as: UTF8.self)
        #expect(
            text == #"{"as_of":"2023-11-14T22:13:20Z","complete":true,"groups":["#
                + #"{"bytes":4096,"captured":false,"files":1,"fix":null,"id":"secret:/root/.ssh","kind":"secret","lifetime":"container","path":"/root/.ssh","title":"SSH keys"},"#
                + #"{"bytes":1,"captured":false,"files":2,"fix":{"command":"true","safe":true},"id":"other:/x","kind":"other","lifetime":"pod","path":"/\\xff","path_b64":"L/8=","title":"files in /x"}],"#
                + #""schema":"packet-agent/at-risk/1","total_bytes":4097,"total_files":3}"#)
        #expect(try JSONDecoder().decode(AtRiskReport.self, from: Data(text.utf8)) == report)
    }
}

extension ChangedFiles {
    /// Adds a file; all with more than one name are the same.
    mutating func add(_ path: BytePath, links: UInt32 = 1, bytes: UInt64 = 0) {
        var listing = TreeWalk.Listing(directory: path.parent)
        let time = FileStatus.Time(seconds: 0, nanoseconds: 0)
        listing.names = path.lastComponent.bytes + [0]
        listing.files = [
            .init(
                isLink: false, size: 0, allocatedBytes: bytes, links: links, identity: .init(device: 0, inode: 0),
                changed: time,
                modified: time)
        ]
        add(listing, .container) { _, _ in true }
    }
}
