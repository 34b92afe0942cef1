import ControlPlaneAPI
import HTTPTypes
import Hummingbird
import NIOCore

extension ControlPlane {
    /// `GET /`: the fleet of the team as a page, without scripts.
    func fleetPage(_ call: Call) async throws -> Response {
        guard case .team(let team) = call.caller else { throw APIFailure.forbidden("the page takes a team's token") }
        let page = FleetPage(
            team: team, now: now(), rows: try await store.fleet(of: team),
            volumes: try await store.volumes(of: team, after: 0),
            snapshots: try await store.snapshots(of: team, after: 0))
        return Response(
            status: .ok,
            headers: [
                .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
                .contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
                .xContentTypeOptions: "nosniff",
            ], body: .init(byteBuffer: ByteBuffer(string: page.html)))
    }
}

/// The fleet page. Every text is escaped: pods and users choose it.
struct FleetPage: Sendable {
    var team: String
    var now: Timestamp
    var rows: [Store.FleetRow]
    var volumes: VolumeList
    var snapshots: SnapshotList

    var html: String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
        <title>packet-control: \(escape(team))</title>
        <style>
        body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1a1a1a; background: #fff }
        table { border-collapse: collapse; width: 100%; margin-bottom: 2rem } th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top }
        th { font-weight: 600 } .number { text-align: right; font-variant-numeric: tabular-nums } .risk { color: #a40000; font-weight: 600 } .quiet { color: #666 }
        @media (prefers-color-scheme: dark) { body { color: #e8e8e8; background: #161616 } th, td { border-color: #3a3a3a } .risk { color: #ff8a80 } .quiet { color: #a0a0a0 } }
        </style></head><body>
        <h1>Fleet of \(escape(team))</h1>
        <p class="quiet">As of \(now). Allocated time is billed; observed time and declared gaps are evidence.</p>
        <h2>Pods</h2>
        \(table(["Pod", "State", "Pool", "GPUs", "Volume", "Last hello", "Last record", "At risk", "Doctor", "Observed", "Gaps"], rows.map(podRow), empty: "No pod yet."))
        <h2>Volumes</h2>
        \(table(["Volume", "Name", "GB", "State", "Attached to", "Since"], volumes.volumes.map(volumeRow), empty: "No volume yet."))
        <h2>Snapshots</h2>
        \(table(["Snapshot", "Name", "Type", "Pool", "Volume", "Made"], snapshots.snapshots.map(snapshotRow), empty: "No snapshot yet."))
        </body></html>

        """
    }

    private func podRow(_ row: Store.FleetRow) -> [String] {
        let subscription = row.subscription
        let atRisk = row.report?.atRisk
        let risk =
            atRisk.map {
                "<span\($0.totalBytes > 0 ? " class=\"risk\"" : "")>\(Self.bytes($0.totalBytes)) in \($0.totalFiles) files\($0.complete ? "" : " or more")</span>"
            } ?? "<span class=\"quiet\">not known</span>"
        return [
            "\(escape(subscription.shape.displayName))<br><span class=\"quiet\">\(escape(subscription.podUID))</span>",
            subscription.state.rawValue, escape(subscription.shape.poolName ?? subscription.shape.poolID),
            "\(subscription.shape.vgpus)", row.volumeName.map(escape) ?? "none",
            row.helloAt.map(\.description) ?? "never",
            row.lastRecordAt.map(\.description) ?? "never", risk, doctor(row.report?.doctor),
            Self.duration(row.observedMilliseconds), Self.duration(row.gapMilliseconds),
        ]
    }

    private func doctor(_ report: JSONValue?) -> String {
        guard case .object(let members)? = report, case .object(let summary)? = members["summary"] else {
            return "no report"
        }
        return ["pass", "warn", "fail", "unknown"].compactMap { name in
            if case .integer(let count)? = summary[name], count > 0 { "\(count) \(name)" } else { nil }
        }.joined(separator: ", ")
    }

    private func volumeRow(_ volume: SharedVolume) -> [String] {
        [
            "\(volume.id)", escape(volume.name), "\(volume.sizeGB)", volume.state.rawValue,
            volume.subscriptionID.map(escape) ?? "", volume.createdAt.description,
        ]
    }

    private func snapshotRow(_ snapshot: Snapshot) -> [String] {
        [
            escape(snapshot.id), escape(snapshot.shape.displayName), snapshot.snapshotType,
            escape(snapshot.shape.poolName ?? snapshot.shape.poolID), snapshot.volume.name.map(escape) ?? "none",
            snapshot.createdAt.description,
        ]
    }

    private func table(_ titles: [String], _ rows: [[String]], empty: String) -> String {
        guard !rows.isEmpty else { return "<p class=\"quiet\">\(empty)</p>" }
        let head = titles.map { "<th>\($0)</th>" }.joined()
        let body = rows.map { "<tr>" + $0.map { "<td>\($0)</td>" }.joined() + "</tr>" }.joined(separator: "\n")
        return "<table><thead><tr>\(head)</tr></thead><tbody>\n\(body)\n</tbody></table>"
    }

    /// Text for HTML, in elements and in quoted attributes.
    private func escape(_ text: String) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    static func bytes(_ count: UInt64) -> String {
        let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
        var value = Double(count)
        var unit = 0
        while value >= 1000, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        return unit == 0 ? "\(count) B" : "\((value * 10).rounded() / 10) \(units[unit])"
    }

    static func duration(_ milliseconds: UInt64) -> String {
        let seconds = milliseconds / 1000
        return seconds >= 3600
            ? "\(seconds / 3600) h \(seconds % 3600 / 60) min" : "\(seconds / 60) min \(seconds % 60) s"
    }
}
