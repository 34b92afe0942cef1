import AtRisk
import Glibc
import LinuxKit
import Storage
import Synchronization
import Testing

@testable import Transfer

@Suite("what goes where")
struct PlanTests {
    private static let layout = VolumeLayout(
        volume: "/mnt/v", homes: ["/root", "/home/ann"], environment: ["HF_HOME": "/cache/hf"])

    @Test(
        "every kind has its place on the volume, where the platform's documentation and the variables put it",
        arguments: [
            ("/root/.cache/huggingface/hub/models--a--b", "hf-hub", "huggingface/hub/models--a--b", true),
            ("/cache/hf/hub/models--a--b", "hf-hub", "huggingface/hub/models--a--b", true),
            ("/data/hub/models--a--b", "hf-hub", "huggingface/hub/models--a--b", true),
            ("/root/.cache/huggingface/hub", "other", "huggingface/hub", true),
            ("/home/ann/.cache/huggingface/datasets/x", "hf-datasets", "huggingface/datasets/x", true),
            ("/root/.cache/torch/hub/checkpoints/r.pth", "model-cache", "models/torch/hub/checkpoints/r.pth", true),
            ("/root/.ollama/models", "model-cache", "models/ollama", true),
            ("/root/.cache/whisper", "model-cache", "models/.cache/whisper", true),
            ("/root/nltk_data", "dataset", "data/nltk", true),
            ("/root/own_data", "dataset", "data/own_data", false),
            ("/root/work/proj", "code", "code/work/proj", false), ("/srv/proj", "git-unpushed", "code/srv/proj", false),
            ("/root/run/checkpoint-5", "checkpoint", "checkpoints/run/checkpoint-5", false),
            ("/root/env", "venv", "envs/env", false), ("/opt/conda/envs/x", "conda", "envs/opt/conda/envs/x", false),
            ("/data/train", "dataset", "data/data/train", false),
            ("/root/a.ipynb", "notebook", "saved/root/a.ipynb", false), ("/etc/x", "other", "saved/etc/x", false),
        ] as [(BytePath, String, String, Bool)])
    func places(source: BytePath, kind: String, place: String, merges: Bool) {
        let found = Self.layout.place(for: source, kind: AtRiskKind(rawValue: kind))
        #expect(found.path == BytePath("/mnt/v/\(place)"))
        #expect(found.merges == merges)
    }

    private static let mounts = """
        20 1 0:20 / / rw - overlay overlay rw,upperdir=/u
        21 20 0:21 / /proc rw - proc proc rw
        22 20 0:22 / /mnt/v rw - nfs4 server:/v rw
        23 20 0:23 / /srv/disk rw - tmpfs t rw
        """ + "\n"

    /// A selection in a pod whose directories are given by their files.
    private func selection(_ files: [BytePath] = [], home: BytePath? = nil) throws -> MoveSelection {
        let proc = try Scratch("true")
        try proc.sh("mkdir -p proc/self; cat > proc/self/mountinfo <<'END'\n\(Self.mounts)END")
        let facts = try StorageFacts.gather(
            .init(
                procRoot: proc.path.appending("proc").description, probe: nil, workingDirectory: "/", isKubernetes: true
            ))
        if let home {
            return MoveSelection(facts: facts, homes: [home], known: KnownLocation.defaults(homes: [home]))
        }
        return MoveSelection(
            facts: facts, homes: ["/root"], known: KnownLocation.defaults(homes: ["/root"])
        ) { directory in
            var names: [[UInt8]: Bool] = [:]
            for file in files where file.isWithin(directory) && file != directory {
                let rest = file.components.dropFirst(directory.components.count)
                if let first = rest.first { names[Array(first)] = rest.count > 1 || names[Array(first)] == true }
            }
            return names.isEmpty ? nil : names.map { ($0.key, $0.value) }
        }
    }

    @Test(
        "what must not become a link is refused, and the words say what to do",
        arguments: [
            ("/", "mount point"), ("/root", "home directory"), ("/srv", "has a mount below it (/srv/disk)"),
            ("/srv/disk", "is a mount point"), ("/mnt/v/models", "is on a volume already"),
            ("/tmp", "programs expect"), ("/usr/local", "programs expect"), ("/opt", "programs expect"),
            ("/proc/1", "not data that a pod could lose"), ("/root/none\u{1b}", "does not exist"),
        ])
    func refusals(path: String, words: String) throws {
        let selection = try selection()
        do {
            let found = try selection.source(at: BytePath(path))
            Issue.record("not refused: \(found)")
        } catch {
            #expect(error.code == .refused && error.description.contains(words), "\(error)")
            #expect(!error.description.contains("\u{1b}"))
        }
    }

    @Test("keys and tokens are refused, and so is what holds them; what lies beside them is not")
    func secrets() throws {
        let home = try Scratch(
            "mkdir -p .ssh .cache/huggingface/hub; echo k > .ssh/id; echo t > .cache/huggingface/token")
        let selection = try selection(home: home.source)
        func words(_ path: String) -> String {
            do { return try selection.source(at: home.source.appending(path)).description } catch {
                return error.description
            }
        }
        #expect(words(".ssh/id").contains("holds keys or tokens (SSH keys)"))
        #expect(words(".cache/huggingface").contains("move what is beside them"))
        #expect(words(".cache/huggingface/hub") == "\(home.source)/.cache/huggingface/hub")
        #expect(words("").contains("home directory"))
    }

    private func group(_ kind: AtRiskKind, _ path: BytePath, _ paths: [BytePath] = [], isShallow: Bool = false)
        -> AtRiskScan.Group
    {
        AtRiskScan.Group(
            id: "\(kind.rawValue):\(path)", kind: kind, title: "", path: path, lifetime: .container, bytes: 0,
            files: paths.count, fix: AtRiskFix(command: "pip install", safe: false), isShallow: isShallow, paths: paths)
    }

    @Test("a group stands for what belongs to it, and for nothing beside it")
    func groups() throws {
        let selection = try selection([
            "/opt/app/image", "/opt/app/new/a", "/opt/app/new/b", "/opt/app/mixed/image", "/opt/app/mixed/mine",
            "/srv/x/all/a", "/srv/x/all/deep/b", "/opt/conda/bin/python", "/opt/conda/new",
        ])
        func sources(_ group: AtRiskScan.Group, copies: Bool = false) -> [BytePath]? {
            try? selection.sources(of: group, copies: copies)
        }
        #expect(
            sources(group(.other, "/opt/app", ["/opt/app/new/a", "/opt/app/new/b", "/opt/app/mixed/mine"])) == [
                "/opt/app/mixed/mine", "/opt/app/new",
            ])
        #expect(sources(group(.other, "/srv/x", ["/srv/x/all/a", "/srv/x/all/deep/b"])) == ["/srv/x"])
        #expect(sources(group(.code, "/root/p", ["/root/p/a"])) == ["/root/p"])
        #expect(
            sources(group(.checkpoint, "/r", ["/r/checkpoint-1/a", "/r/checkpoint-1/b", "/r/checkpoint-2/c"])) == [
                "/r/checkpoint-1", "/r/checkpoint-2",
            ])
        #expect(sources(group(.checkpoint, "/r", ["/r/b.pt", "/r/a.pt"], isShallow: true)) == ["/r/a.pt", "/r/b.pt"])
        #expect(sources(group(.notebook, "/root", ["/root/a.ipynb"])) == ["/root/a.ipynb"])
        #expect(sources(group(.secret, "/root/.ssh", ["/root/.ssh/id"]), copies: true) == nil)
        #expect(sources(group(.pipPackages, "/usr/lib/x", ["/usr/lib/x/a"])) == nil)
        #expect(sources(group(.compileCache, "/root/.triton")) == nil)
        #expect(sources(group(.compileCache, "/root/.triton"), copies: true) == ["/root/.triton"])
        #expect(sources(group(.conda, "/opt/conda", ["/opt/conda/new"])) == nil, "the image's own")
    }

    @Test("an id of a group is told from a path")
    func identifiers() {
        #expect(MovePlan.groupPath("hf-hub:/a/b:c") == "/a/b:c")
        #expect(MovePlan.groupPath("/a:/b") == nil)
        #expect(MovePlan.groupPath("nothing:/b") == nil)
        #expect(MovePlan.groupPath("code:b") == nil)
    }

    @Test("links stay as they are unless they leave the tree")
    func links() {
        func text(_ target: String, _ directory: BytePath) -> String {
            String(decoding: LinkRule.text(Array(target.utf8), in: directory, of: "/s/tree"), as: UTF8.self)
        }
        #expect(text("../../x", "/s/tree/a/b") == "../../x")
        #expect(text("../../../x", "/s/tree/a/b") == "/s/x")
        #expect(text("../../x/../y", "/s/tree/a") == "/s/y")
        #expect(text("../tree", "/s/tree") == ".")
        #expect(text("../../tree/c", "/s/tree/a") == "../c")
        #expect(text("/s/tree/a", "/s/tree") == "/s/tree/a")
    }

    @Test("whoever stops a move that hangs gets an answer")
    func abandoned() throws {
        let scratch = try Scratch("echo a > a")
        let hangs = Mutex(false)
        let released = Mutex(false)
        let move = scratch.move { options in
            options.step = { step, _ in
                guard step == .verifyFile else { return }
                hangs.withLock { $0 = true }
                while !released.withLock({ $0 }) { usleep(1000) }
            }
            options.isCancelled = { hangs.withLock { $0 } }
        }
        #expect(throws: TransferError.self) { try move.runAbandonably(graceMilliseconds: 100) }
        released.withLock { $0 = true }
        #expect(try scratch.sh("cat pod/proj/a") == "a\n")
    }
}
