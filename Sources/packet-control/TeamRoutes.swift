import ControlPlaneAPI
import Environment
import HTTPTypes
import Hummingbird

extension ControlPlane {
    private func team(_ call: Call) throws -> String {
        guard case .team(let team) = call.caller else { throw APIFailure.forbidden("this route takes a team's token") }
        return team
    }

    private func number(_ call: Call) throws -> Int64 {
        guard let id = Int64(try call.parameter("id")) else { throw APIFailure.notFound("volume") }
        return id
    }

    // MARK: Volumes

    /// `GET /v1/volumes`.
    func listVolumes(_ call: Call) async throws -> Response {
        JSONAnswer.response(try await store.volumes(of: team(call), after: call.cursor()))
    }

    /// `POST /v1/volumes`.
    func createVolume(_ call: Call) async throws -> Response {
        let request = try await call.json(VolumeRequest.self)
        guard SharedVolume.isValid(name: request.name) else { throw APIFailure.invalid(Check.volumeName("name")) }
        guard (1...1_000_000).contains(request.sizeGB) else { throw APIFailure.invalid("size_gb must be 1 to 1000000") }
        return JSONAnswer.response(try await store.createVolume(request, of: team(call), now: now()), status: .created)
    }

    /// `DELETE /v1/volumes/{id}`.
    func deleteVolume(_ call: Call) async throws -> Response {
        JSONAnswer.response(try await store.deleteVolume(number(call), of: team(call), now: now()))
    }

    // MARK: Snapshots

    /// `GET /v1/snapshots`.
    func listSnapshots(_ call: Call) async throws -> Response {
        if case .pod(let pod) = call.caller {
            return JSONAnswer.response(try await store.snapshots(ofPod: pod, after: call.cursor()))
        }
        return JSONAnswer.response(try await store.snapshots(of: team(call), after: call.cursor()))
    }

    /// `GET /v1/snapshots/{id}`.
    func readSnapshot(_ call: Call) async throws -> Response {
        let id = try call.parameter("id")
        if case .pod(let pod) = call.caller {
            // Whether it exists at all is not this pod's business.
            guard let snapshot = try await store.snapshot(id, ofPod: pod) else {
                throw APIFailure.forbidden("a pod reads only snapshots of itself and the one it was restored from")
            }
            return JSONAnswer.response(snapshot)
        }
        guard let snapshot = try await store.snapshot(id, of: team(call)) else { throw APIFailure.notFound("snapshot") }
        return JSONAnswer.response(snapshot)
    }

    /// `POST /v1/snapshots`.
    func createSnapshot(_ call: Call) async throws -> Response {
        let request = try await call.json(SnapshotRequest.self)
        try Check.text(request.name, "name", upTo: 100)
        try Check.volume(request.volume)
        let snapshot: Snapshot
        switch call.caller {
        case .pod(let pod): snapshot = try await createSnapshot(request, by: pod)
        default: snapshot = try await createSnapshot(request, by: team(call))
        }
        return JSONAnswer.response(snapshot, status: .created)
    }

    // A pod bookmarks itself: it may name itself and its own volume, and nothing else.
    private func createSnapshot(_ request: SnapshotRequest, by pod: PodIdentity) async throws -> Snapshot {
        if let uid = request.podUID, uid != pod.uid {
            throw APIFailure.forbidden("a pod makes snapshots of itself only")
        }
        if let id = request.subscriptionID, id != pod.subscriptionID {
            throw APIFailure.forbidden("a pod makes snapshots of its own subscription only")
        }
        if !request.volume.isEmpty {
            let own = try await store.subscription(pod.subscriptionID, of: pod.team)?.sharedVolumeIDs.first
            let volume = if let own { try await store.volume(own, of: pod.team) } else { SharedVolume?.none }
            guard let volume, request.volume.id ?? volume.id == volume.id,
                request.volume.name ?? volume.name == volume.name
            else { throw APIFailure.forbidden("a pod's snapshot names its own volume only") }
        }
        guard request.shape == nil else {
            throw APIFailure.forbidden("with a pod's token the fields come from its subscription: send only a name")
        }
        return try await store.createSnapshot(
            name: request.name, ofSubscription: pod.subscriptionID, of: pod.team, now: now())
    }

    private func createSnapshot(_ request: SnapshotRequest, by team: String) async throws -> Snapshot {
        if let shape = request.shape {
            guard request.subscriptionID == nil, request.podUID == nil else {
                throw APIFailure.invalid(
                    "send either the fields (poolId and so on) or a subscriptionId or podUid, not both")
            }
            try Check.shape(shape)
            if let id = request.volume.id, try await store.volume(id, of: team) == nil {
                throw APIFailure.conflict("volume_not_found", "there is no volume \(id): it may belong to another team")
            }
            return try await store.createSnapshot(shape: shape, volume: request.volume, of: team, now: now())
        }
        var id = request.subscriptionID
        if let uid = request.podUID {
            guard let found = try await store.subscription(ofPod: uid, of: team), id ?? found.id == found.id else {
                throw APIFailure.notFound("pod")
            }
            id = found.id
        }
        guard let id else {
            throw APIFailure.invalid("send the fields (poolId and so on), or a subscriptionId or podUid")
        }
        return try await store.createSnapshot(name: request.name, ofSubscription: id, of: team, now: now())
    }

    /// `DELETE /v1/snapshots/{id}`.
    func deleteSnapshot(_ call: Call) async throws -> Response {
        guard try await store.deleteSnapshot(call.parameter("id"), of: team(call)) else {
            throw APIFailure.notFound("snapshot")
        }
        return Response(status: .noContent)
    }

    /// `POST /v1/snapshots/{id}/restore`.
    func restoreSnapshot(_ call: Call) async throws -> Response {
        let request = try await call.optionalJSON(RestoreRequest.self) ?? RestoreRequest()
        try Check.text(request.name, "name", upTo: 100)
        try Check.podUID(request.podUID)
        let made = try await store.restore(
            call.parameter("id"), request, of: team(call), secret: .make(.pod), now: now())
        return JSONAnswer.response(try await withEnvironment(made, of: team(call)), status: .created)
    }

    // MARK: Subscriptions

    /// `GET /v1/subscriptions`.
    func listSubscriptions(_ call: Call) async throws -> Response {
        JSONAnswer.response(try await store.subscriptions(of: team(call), after: call.cursor()))
    }

    /// `GET /v1/subscriptions/{id}`.
    func readSubscription(_ call: Call) async throws -> Response {
        let id = try call.parameter("id")
        let team: String
        switch call.caller {
        case .pod(let pod):
            guard id == pod.subscriptionID else { throw APIFailure.forbidden("a pod reads only its own subscription") }
            team = pod.team
        default: team = try self.team(call)
        }
        guard let subscription = try await store.subscription(id, of: team) else {
            throw APIFailure.notFound("subscription")
        }
        return JSONAnswer.response(subscription)
    }

    /// `POST /v1/subscriptions`.
    func createSubscription(_ call: Call) async throws -> Response {
        let request = try await call.json(SubscriptionRequest.self)
        try Check.shape(request.shape)
        try Check.podUID(request.podUID)
        guard request.sharedVolumeIDs.count <= 1 else {
            throw APIFailure.invalid("sharedVolumeIds takes at most one volume, because a snapshot can name only one")
        }
        let made = try await store.createSubscription(request, of: team(call), secret: .make(.pod), now: now())
        return JSONAnswer.response(try await withEnvironment(made, of: team(call)), status: .created)
    }

    /// The subscription with the variables that its pod's specification should set.
    private func withEnvironment(_ made: Subscription, of team: String) async throws -> Subscription {
        guard let id = made.sharedVolumeIDs.first, let volume = try await store.volume(id, of: team) else {
            return made
        }
        var made = made
        made.podEnvironment = PodVariable.all(volumeName: volume.name, mountPoint: volume.mountPoint).map {
            .init(name: $0.name, value: $0.value)
        }
        return made
    }

    /// `DELETE /v1/subscriptions/{id}`.
    func endSubscription(_ call: Call) async throws -> Response {
        let confirm = call.query("confirm")
        guard confirm == nil || confirm == "loss" else { throw APIFailure.invalid("confirm takes only the word loss") }
        return JSONAnswer.response(
            try await store.endSubscription(
                call.parameter("id"), of: team(call), confirmed: confirm == "loss", now: now()))
    }

    // MARK: Usage

    /// `GET /v1/usage`: the last day unless told otherwise.
    func exportUsage(_ call: Call) async throws -> Response {
        let asOf = now()
        func time(_ name: String, else missing: Timestamp) throws -> Timestamp {
            guard let text = call.query(name) else { return missing }
            guard let value = Timestamp(text) else {
                throw APIFailure.invalid("\(name) must be an RFC 3339 timestamp such as 2026-11-23T00:00:00Z")
            }
            return value
        }
        let to = try time("to", else: asOf)
        let from = try time("from", else: Timestamp(milliseconds: to.milliseconds - 86_400_000))
        guard from < to, to.milliseconds - from.milliseconds <= 366 * 86_400_000 else {
            throw APIFailure.invalid("from must be before to, by at most 366 days")
        }
        return JSONAnswer.response(
            try await store.usage(
                of: team(call), from: from, to: to, asOf: asOf, cursor: ExportCursor(call.query("cursor"))))
    }
}
