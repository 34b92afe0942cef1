import Glibc
import LinuxKit
import Storage
import Testing

@testable import AtRisk

@Suite("packages, repositories and contents, in a real overlay", .enabled(if: mayMount, "needs root and overlayfs"))
struct PackageTests {
    private static let site = "opt/py/lib/python3.11/site-packages"
    private static let image = """
        S=\(site); mkdir -p $S opt/conda/conda-meta opt/conda/lib var/lib/dpkg/info
        package() { mkdir -p $S/$1 $S/$1-$2.dist-info; echo "code of $1 $2" > $S/$1/__init__.py; echo x > $S/$1-$2.dist-info/METADATA
            printf '%s,sha256=%s,%s\\n' $1/__init__.py "$(sha256sum < $S/$1/__init__.py | cut -d' ' -f1 | xxd -r -p | base64 | tr '+/' '-_' | tr -d =)" \
                "$(stat -c %s $S/$1/__init__.py)" > $S/$1-$2.dist-info/RECORD; }
        package kept 1.0; package up 1.0; package Gone_Now 2.0
        echo '{"name":"numpy","version":"1.26.0","files":["lib/numpy.so"]}' > opt/conda/conda-meta/numpy-1.26.0-py311_0.json
        echo numpy > opt/conda/lib/numpy.so
        printf 'Package: tree\\nStatus: install ok installed\\nVersion: 2.0\\n\\nPackage: less\\nStatus: install ok installed\\nVersion: 590\\n' \
            > var/lib/dpkg/status
        mkdir -p opt/tree; echo tree > opt/tree/tree; touch -d '1 hour ago' opt/tree/tree
        printf '%s  opt/tree/tree\\n' "$(md5sum < opt/tree/tree | cut -d' ' -f1)" > var/lib/dpkg/info/tree.md5sums
        """

    private func pod() throws -> PodNamespace {
        let pod = try PodNamespace(image: Self.image)
        try FirstStart.record(
            stateDirectory: pod.stateDirectory, podDirectory: pod.diskRoot.appending("dev/shm").description,
            root: pod.diskRoot)
        try pod.sh("sleep 0.05")
        return pod
    }

    @Test("pip packages are told as added, upgraded and removed against the image")
    func pip() throws {
        let pod = try pod()
        try pod.sh(
            """
            ROOT=$PWD; cd \(Self.site); rm -r up-1.0.dist-info Gone_Now Gone_Now-2.0.dist-info; echo new > up/__init__.py
            mkdir up-1.1.dist-info added added-3.0.dist-info; echo x > up-1.1.dist-info/METADATA
            echo x > added/__init__.py; echo x > added-3.0.dist-info/METADATA; cd $ROOT
            """)
        let group = try #require(try pod.scan(volume: "/mnt/vol").groups.first)
        #expect(group.title == "3 pip packages: added 3.0, gone-now removed, up 1.0 to 1.1")
        #expect(
            group.fix?.command == "python3 -m pip install --target /mnt/vol/pip-packages added==3.0 up==1.1")
    }

    @Test("a package that was only removed is told, and is no bytes")
    func removed() throws {
        let pod = try pod()
        try pod.sh("rm -r \(Self.site)/up \(Self.site)/up-1.0.dist-info")
        let groups = try pod.scan(volume: "/mnt/vol").groups
        #expect(groups.map(\.title) == ["1 pip package: up removed"])
        #expect(groups.map(\.bytes) == [0])
        #expect(groups.map(\.fix) == [nil])
    }

    @Test("files of an image's package whose content is the image's do not count, whatever was done to their inodes")
    func content() throws {
        let pod = try pod()
        try pod.sh("chown -R 1000:1000 \(Self.site)/kept; touch \(Self.site)/kept/__init__.py")
        #expect(try pod.scan().groups == [])
        try pod.sh(
            "mkdir \(Self.site)/kept/__pycache__; echo c > \(Self.site)/kept/__pycache__/__init__.cpython-311.pyc")
        #expect(try pod.scan().groups == [])
        try pod.sh("echo mine >> \(Self.site)/kept/__init__.py")
        #expect(try pod.scan().groups.map(\.files) == [2], "with its byte code")
        // A package of the distribution, by its own list.
        try pod.sh("chown 1000:1000 opt/tree/tree")
        #expect(try pod.scan(paths: ["/opt/tree"]).groups == [])
        try pod.sh("echo TREE > opt/tree/tree; touch -d '1 hour ago' opt/tree/tree")
        #expect(try pod.scan(paths: ["/opt/tree"]).groups.map(\.files) == [1])
        // The same size, another content.
        try pod.sh("printf 'code of kept 9.9\\n' > \(Self.site)/kept/__init__.py")
        #expect(try pod.scan(paths: ["/opt/py"]).groups.map(\.title) == ["files in /\(Self.site)"])
    }

    @Test("packages of the distribution are told as added, upgraded and removed")
    func apt() throws {
        let pod = try pod()
        try pod.sh(
            """
            printf 'Package: tree\\nStatus: install ok installed\\nVersion: 2.1\\n\\nPackage: less\\nStatus: deinstall ok config-files\\nVersion: 590\\n\\n' \
                > var/lib/dpkg/status
            printf 'Package: jq\\nStatus: install ok installed\\nVersion: 1.6\\n' >> var/lib/dpkg/status
            mkdir -p opt/jq; echo x > opt/jq/jq; touch -d '1 year ago' opt/jq/jq
            printf '%s  opt/jq/jq\\n' "$(md5sum < opt/jq/jq | cut -d' ' -f1)" > var/lib/dpkg/info/jq.md5sums; touch -d '1 year ago' var/lib/dpkg/info/jq.md5sums
            printf '/.\\n/opt/jq/jq\\n' > var/lib/dpkg/info/jq.list
            """)
        let group = try #require(try pod.scan(volume: "/mnt/vol").groups.first)
        #expect(group.title == "3 packages of the distribution: jq 1.6, less removed, tree 2.0 to 2.1")
        // dpkg gives files and records the times of the package, which are older than the pod.
        #expect(group.files == 1 && group.bytes > 0)
        #expect(group.fix?.command == "echo 'apt-get update && apt-get install -y jq tree' >> /mnt/vol/setup.sh")
    }

    @Test("conda packages in the image's environment are named, a new environment is one, pip inside is pip")
    func conda() throws {
        let pod = try pod()
        try pod.sh(
            """
            echo '{"name":"zlib","version":"1.3","files":["lib/libz.so"]}' > opt/conda/conda-meta/zlib-1.3-h1_0.json
            echo z > opt/conda/lib/libz.so; echo mine > opt/conda/lib/mine
            P=opt/conda/lib/python3.11/site-packages; mkdir -p $P/demo-1.dist-info; echo x > $P/demo-1.dist-info/METADATA
            mkdir -p opt/conda/envs/new/conda-meta; echo '{}' > opt/conda/envs/new/conda-meta/x-1-0.json; echo x > opt/conda/envs/new/file
            """)
        let found = Dictionary(uniqueKeysWithValues: try pod.scan().groups.map { ($0.title, $0.files) })
        #expect(
            found == [
                "1 conda package: zlib 1.3": 2, "files in /opt/conda": 1, "1 pip package: demo 1": 1,
                "conda environment new": 2,
            ])
    }

    @Test("files that vanish are nothing, and a directory that cannot be opened is counted and said")
    func vanishing() throws {
        let pod = try pod()
        try pod.sh(
            "mkdir -p opt/busy; (while [ ! -e opt/stop ]; do mkdir -p opt/busy/d; echo x > opt/busy/d/f; rm -r opt/busy/d; done) & sleep 0.05"
        )
        for _ in 0..<30 {
            let findings = try pod.scan(paths: ["/opt"])
            #expect(findings.isComplete)
            #expect(findings.problems == [])
        }
        // A path longer than PATH_MAX cannot be opened, not even by root.
        try pod.sh(
            """
            touch opt/stop; ROOT=$PWD; mkdir srv; cd srv; N=$(printf 'd%.0s' $(seq 200))
            for i in $(seq 25); do mkdir $N && cd -P $N; done; echo x > file; cd $ROOT
            """)
        let findings = try pod.scan(paths: ["/srv"])
        #expect(!findings.isComplete)
        #expect(findings.problems.count == 1)
        #expect(
            findings.problems.allSatisfy { $0.hasPrefix("the directory /srv/ddd") && $0.hasSuffix("cannot be read") })
    }
}
