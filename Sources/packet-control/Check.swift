import ControlPlaneAPI
import HTTPTypes
import Hummingbird

/// Whether values that were sent make sense; what does not is refused with the member's name.
enum Check {
    static func text(_ value: String?, _ name: String, upTo limit: Int = 256, lines: Bool = false) throws {
        guard let value else { return }
        guard (1...limit).contains(value.utf8.count) else {
            throw APIFailure.invalid("\(name) must have 1 to \(limit) bytes; leave it out when there is nothing to say")
        }
        guard
            value.unicodeScalars.allSatisfy({
                $0.value >= 0x20 && $0.value != 0x7f || (lines && "\n\r\t".unicodeScalars.contains($0))
            })
        else { throw APIFailure.invalid("\(name) has control characters") }
    }

    static func shape(_ shape: PodShape) throws {
        try text(shape.displayName, "displayName", upTo: 100)
        try text(shape.poolID, "poolId")
        try text(shape.poolName, "poolName")
        try text(shape.instanceTypeID, "instanceTypeId")
        try text(shape.imageUUID, "imageUuid")
        try text(shape.hfItemID, "hfItemId")
        try text(shape.deployScript, "deployScript", upTo: 16 << 10, lines: true)
        guard (1...64).contains(shape.vgpus) else { throw APIFailure.invalid("vgpus must be 1 to 64") }
    }

    static func volume(_ reference: VolumeReference) throws {
        if let name = reference.name, !SharedVolume.isValid(name: name) {
            throw APIFailure.invalid(volumeName("persistentVolumeName"))
        }
        if let id = reference.id, id < 1 { throw APIFailure.invalid("persistentVolumeId must be a positive number") }
        if let size = reference.sizeGB, size < 1 {
            throw APIFailure.invalid("persistentVolumeSize must be a positive number")
        }
    }

    static func volumeName(_ name: String) -> String {
        "\(name) must have 1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or digit: it becomes a directory below /mnt"
    }

    static func podUID(_ uid: String?) throws {
        guard let uid else { return }
        let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-".utf8)
        guard (1...64).contains(uid.utf8.count), uid.utf8.allSatisfy(allowed.contains) else {
            throw APIFailure.invalid("podUid must have 1 to 64 of A-Z a-z 0-9 -, as Kubernetes' metadata.uid")
        }
    }

    static func hello(_ hello: HelloRequest) throws {
        for (epoch, name) in [(hello.epoch, "epoch"), (hello.prevEpoch ?? hello.epoch, "prev_epoch")] {
            guard epoch.utf8.count == 32, epoch.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
            else {
                throw APIFailure.invalid("\(name) must have 32 lower-case hexadecimal digits")
            }
        }
        try text(hello.bootID, "boot_id", upTo: 64)
        try text(hello.agentVersion, "agent_version", upTo: 64)
        try text(hello.image, "image", upTo: 512)
        guard hello.volumes.count <= 64, hello.gpus.count <= 1024 else {
            throw APIFailure.invalid("at most 64 volumes and 1024 gpus can be named")
        }
        for gpu in hello.gpus {
            try text(gpu.uuid, "gpus.uuid", upTo: 128)
            try text(gpu.name, "gpus.name", upTo: 128)
            try text(gpu.parentUUID, "gpus.parent_uuid", upTo: 128)
        }
        for volume in hello.volumes {
            try text(volume.name, "volumes.name")
            try text(volume.mountPoint, "volumes.mount_point", upTo: 4096)
            guard ["ready", "stuck", "missing", "read_only"].contains(volume.state) else {
                throw APIFailure.invalid("volumes.state must be ready, stuck, missing or read_only")
            }
        }
    }
}
