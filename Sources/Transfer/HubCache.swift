import Glibc
import LinuxKit
import Storage

/// The cache of the Hugging Face hub (huggingface_hub 2.4, `utils/_shared_blobs.py`).
///
/// `CACHE/models--ORG--NAME/blobs/ETAG` may be a link to `CACHE/blobs/HH/HASH`, a file that several repositories share. A
/// repository that is moved without the others takes the file along in place of the link, which is the layout without a
/// shared store; a cache that is moved as a whole keeps links and store.
enum HubCache {
    /// The status of the shared file behind a link of a repository; nil for every other link.
    static func sharedBlob(link: BytePath, leadsTo: BytePath, _ name: FileName, _ directory: Int32) -> FileStatus? {
        let (from, to) = (link.components, leadsTo.components)
        guard from.count > 3, to.count > 3, from[from.count - 2].elementsEqual("blobs".utf8),
            isRepository(from[from.count - 3]), to.last?.count == 64,
            from.dropLast(3).elementsEqual(to.dropLast(3), by: { $0.elementsEqual($1) }),
            to[to.count - 3].elementsEqual("blobs".utf8),
            case .success(let status) = FileStatus.of(name: name, in: directory, follow: true), status.kind == .regular
        else { return nil }
        return status
    }

    private static func isRepository(_ name: ArraySlice<UInt8>) -> Bool {
        ["models--", "datasets--", "spaces--"].contains { name.starts(with: $0.utf8) }
    }
}
