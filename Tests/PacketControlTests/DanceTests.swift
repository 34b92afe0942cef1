import ControlPlaneAPI
import HTTPTypes
import HummingbirdTesting
import Testing
import UsageRecord

@testable import packet_control

@Suite struct DanceTests {
    @Test(arguments: [false, true]) func aPodIsBookmarkedTerminatedAndRestoredWithItsVolume(live: Bool) async throws {
        let plane = try TestPlane()
        try await plane.test(live ? .live : .router) { client in
            let volume = try await client.makeVolume()
            let pod = try await client.makePod(volume: volume.id)
            #expect(pod.sharedVolumeIDs == [volume.id] && pod.state == .active && pod.shape.poolID == "12")

            let hello = try await client.send(
                .post, "/v1/pods/\(pod.podUID)/hello", as: pod.podToken, json: ScopeTests.hello)
            let answer = try hello.json(HelloAnswer.self)
            #expect(answer.expectedVolume == .init(id: volume.id, name: "my-storage", mountPoint: "/mnt/my-storage"))
            #expect(answer.snapshot == nil && answer.subscription?.id == pod.id && answer.subscription?.podToken == nil)
            #expect(hello.text.contains(#""snapshot":null"#))

            #expect(try await client.usage([record(of: pod.podUID, seq: 0, 0..<1000)], of: pod).status == 200)
            let again = try await client.send(
                .post, "/v1/pods/\(pod.podUID)/hello", as: pod.podToken, json: ScopeTests.hello)
            #expect(try again.json(HelloAnswer.self).durable == [.init(epoch: epoch(), throughSeq: 0)])

            let made = try await client.send(.post, "/v1/snapshots", as: pod.podToken, json: #"{"name":"working"}"#)
            let snapshot = try made.json(Snapshot.self)
            #expect(snapshot.volume == .init(id: volume.id, name: "my-storage", sizeGB: 50))
            #expect(snapshot.shape.displayName == "working" && snapshot.shape.hfItemID == "meta-llama/Llama-3.1-8B")

            let path = "/v1/subscriptions/\(pod.id)"
            #expect(try await client.send(.delete, path, as: plane.alpha).code == "data_at_risk")
            let report =
                #"{"at_risk":{"total_bytes":77,"total_files":3,"complete":true,"as_of":"2026-11-23T00:00:00Z"}}"#
            #expect(
                try await client.send(.put, "/v1/pods/\(pod.podUID)/report", as: pod.podToken, json: report).status
                    == 204)
            let refused = try await client.send(.delete, path, as: plane.alpha)
            #expect(refused.status == 409)
            #expect(try refused.json(ErrorAnswer.self).error.atRisk?.totalBytes == 77)
            let ended = try await client.send(.delete, path + "?confirm=loss", as: plane.alpha)
            #expect(try ended.json(Subscription.self).state == .ended)

            let restored = try await client.send(.post, "/v1/snapshots/\(snapshot.id)/restore", as: plane.alpha)
            #expect(restored.status == 201)
            let next = try restored.json(Subscription.self)
            #expect(next.sharedVolumeIDs == [volume.id] && next.podUID != pod.podUID && next.podToken != nil)
            let variables = try #require(next.podEnvironment)
            #expect(variables.contains(.init(name: "HF_HOME", value: "\(volume.mountPoint)/huggingface")))
            #expect(variables.contains(.init(name: "BASH_ENV", value: "/run/packet-agent/env.sh")))
            #expect(variables.allSatisfy { $0.value.hasPrefix("/") && $0.name != "XDG_CACHE_HOME" })
            let welcome = try await client.send(
                .post, "/v1/pods/\(next.podUID)/hello", as: next.podToken, json: ScopeTests.hello)
            #expect(try welcome.json(HelloAnswer.self).snapshot == snapshot)
            #expect(try welcome.json(HelloAnswer.self).expectedVolume?.id == volume.id)
        }
    }

    @Test func aPodWithNothingAtRiskTerminatesWithoutConfirmation() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let pod = try await client.makePod()
            func report(complete: Bool) async throws {
                let body =
                    #"{"at_risk":{"total_bytes":0,"total_files":0,"complete":\#(complete),"as_of":"2026-11-23T00:00:00Z"}}"#
                _ = try await client.send(.put, "/v1/pods/\(pod.podUID)/report", as: pod.podToken, json: body)
            }
            try await report(complete: false)
            #expect(try await client.send(.delete, "/v1/subscriptions/\(pod.id)", as: plane.alpha).status == 409)
            try await report(complete: true)
            #expect(
                try await client.send(.delete, "/v1/subscriptions/\(pod.id)?confirm=maybe", as: plane.alpha).status
                    == 400)
            #expect(try await client.send(.delete, "/v1/subscriptions/\(pod.id)", as: plane.alpha).status == 200)
            #expect(
                try await client.send(.delete, "/v1/subscriptions/\(pod.id)", as: plane.alpha).status == 200,
                "again: no change")
        }
    }

    @Test func aVolumeAttachesToOnePodAtATime() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let volume = try await client.makeVolume()
            let pod = try await client.makePod(volume: volume.id)
            let body = #"{"displayName":"x","poolId":"1","vgpus":1,"sharedVolumeIds":[\#(volume.id)]}"#
            #expect(
                try await client.send(.post, "/v1/subscriptions", as: plane.alpha, json: body).code == "volume_attached"
            )
            #expect(
                try await client.send(.delete, "/v1/volumes/\(volume.id)", as: plane.alpha).code == "volume_attached")
            let list = try await client.send(.get, "/v1/subscriptions", as: plane.alpha).json(SubscriptionList.self)
            #expect(list.subscriptions.map(\.id) == [pod.id], "a refused subscription leaves nothing behind")
            #expect(
                try await client.send(.post, "/v1/subscriptions", as: plane.beta, json: body).code == "volume_not_found"
            )
            _ = try await client.send(.delete, "/v1/subscriptions/\(pod.id)?confirm=loss", as: plane.alpha)
            let deleted = try await client.send(.delete, "/v1/volumes/\(volume.id)", as: plane.alpha)
            #expect(try deleted.json(SharedVolume.self).state == .deleted)
            #expect(
                try await client.send(.post, "/v1/subscriptions", as: plane.alpha, json: body).code == "volume_deleted")
            let volumes = try await client.send(.get, "/v1/volumes", as: plane.alpha).json(VolumeList.self)
            #expect(volumes.volumes.isEmpty)
        }
    }

    @Test func aLegacySnapshotFindsItsVolumeByNameUnlessTwoHaveIt() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let legacy = #"{"name":"old","poolId":12,"vgpus":1,"persistentVolumeName":"my-storage","hfModel":"llama"}"#
            let snapshot = try await client.send(.post, "/v1/snapshots", as: plane.alpha, json: legacy).json(
                Snapshot.self)
            #expect(snapshot.shape.hfItemID == "llama" && snapshot.shape.poolID == "12")
            let restore = "/v1/snapshots/\(snapshot.id)/restore"
            #expect(try await client.send(.post, restore, as: plane.alpha).code == "volume_not_available")

            let first = try await client.makeVolume()
            let second = try await client.makeVolume()
            let ambiguous = try await client.send(.post, restore, as: plane.alpha)
            #expect(ambiguous.code == "volume_ambiguous" && ambiguous.text.contains("\(first.id) and \(second.id)"))
            let chosen = try await client.send(
                .post, restore, as: plane.alpha, json: #"{"persistentVolumeId":\#(second.id)}"#)
            #expect(try chosen.json(Subscription.self).sharedVolumeIDs == [second.id])
            let found = try await client.send(.post, restore, as: plane.alpha)
            #expect(try found.json(Subscription.self).sharedVolumeIDs == [first.id])
            let without = try await client.send(
                .post, restore, as: plane.alpha, json: #"{"attachStorage":false,"name":"bare"}"#)
            #expect(try without.json(Subscription.self).sharedVolumeIDs.isEmpty)
            #expect(try without.json(Subscription.self).shape.displayName == "bare")
        }
    }

    @Test func listsComeInPages() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            for _ in 0..<Page.size + 5 {
                _ = try await plane.plane.store.createVolume(
                    .init(name: "v", sizeGB: 1), of: "alpha", now: .init(milliseconds: 0))
            }
            let first = try await client.send(.get, "/v1/volumes", as: plane.alpha).json(VolumeList.self)
            let cursor = try #require(first.nextCursor)
            let second = try await client.send(.get, "/v1/volumes?cursor=\(cursor)", as: plane.alpha).json(
                VolumeList.self)
            #expect(first.volumes.count == Page.size && second.volumes.count == 5 && second.nextCursor == nil)
            #expect(Set((first.volumes + second.volumes).map(\.id)).count == Page.size + 5)
        }
    }

    @Test func thePageEscapesWhatPodsSay() async throws {
        let plane = try TestPlane()
        try await plane.test { client in
            let body = #"{"displayName":"<script>alert('x')</script>","poolId":"a\"&b","vgpus":1}"#
            _ = try await client.send(.post, "/v1/subscriptions", as: plane.alpha, json: body)
            let page = try await client.send(.get, "/", as: plane.alpha)
            #expect(page.headers[.contentType] == "text/html; charset=utf-8")
            #expect(!page.text.contains("<script>") && page.text.contains("&lt;script&gt;alert(&#39;x&#39;)"))
            #expect(page.text.contains("a&quot;&amp;b"))
            #expect(try await !client.send(.get, "/", as: plane.beta).text.contains("script&gt;"))
        }
    }
}
