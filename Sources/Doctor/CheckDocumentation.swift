/// `docs/checks.md`: every check with why it matters and how to mend it.
public enum CheckDocumentation {
    /// The page in Markdown.
    public static var markdown: String {
        var text = """
            # The doctor's checks

            Made from the checks themselves; change them and `Tests/DoctorTests` tells how to write this page again. Each can be
            run by its id or group: `packet-agent doctor storage`. A check passes, warns, fails, is skipped (it does not apply, or
            one it depends on did not pass) or is unknown (it could not be found out); only a failed or unknown one makes the exit
            status 1.

            """
        var group = ""
        for check in Check.all {
            if check.group != group {
                group = check.group
                text += "\n## \(group)\n"
            }
            text += "\n### `\(check.id)`: \(check.title)\n\n"
            text += "Why: \(check.why)\n\nMend: \(check.mend)\n"
            if !check.requires.isEmpty {
                text += "\nNeeds: \(check.requires.map { "`\($0)`" }.joined(separator: ", "))\n"
            }
            if check.measuresSizes { text += "\nLooks at files; left out by `--quick`.\n" }
        }
        return text
    }
}
