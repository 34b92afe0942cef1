/// Keys and tokens of programs that keep nothing else there. They are copied to a private place, never linked: ssh refuses
/// files whose owner a server changed.
enum Credentials {
    static let locations = [
        secret("ssh", ".ssh", "SSH keys"),
        secret("netrc", ".netrc", ".netrc", variable: "NETRC"),
        secret("git-credentials", ".git-credentials", "git credentials"),
        // The variable names one file of the directory (AWS CLI reference, environment variables).
        secret("aws", ".aws", "AWS credentials", variable: "AWS_SHARED_CREDENTIALS_FILE"),
        secret("gcloud", ".config/gcloud", "Google Cloud credentials", variable: "CLOUDSDK_CONFIG"),
        secret("azure", ".azure", "Azure credentials", variable: "AZURE_CONFIG_DIR"),
        secret("pypi", ".pypirc", "PyPI token"),
        secret(
            "docker", ".docker/config.json", "registry credentials", variable: "DOCKER_CONFIG", inside: "config.json"),
        secret("github", ".config/gh", "GitHub token", variable: "GH_CONFIG_DIR"),
        secret("kubernetes", ".kube/config", "Kubernetes credentials", variable: "KUBECONFIG"),
        secret("postgresql", ".pgpass", "PostgreSQL passwords", variable: "PGPASSFILE"),
        secret("gnupg", ".gnupg", "GnuPG keys", variable: "GNUPGHOME"),
        secret("npm-token", ".npmrc", "npm token", variable: "NPM_CONFIG_USERCONFIG"),
        secret("claude", ".claude", "Claude login", variable: "CLAUDE_CONFIG_DIR"),
        secret("codex", ".codex", "Codex login", variable: "CODEX_HOME"),
        secret("huggingface-old-token", ".huggingface", "Hugging Face token"),
    ]

    /// - Parameter inside: the file below the directory that the variable names.
    private static func secret(
        _ id: String, _ name: String, _ title: String, variable: String? = nil, inside: String? = nil
    ) -> ToolLocation {
        ToolLocation(
            id: id, title: title, kind: "secret", placement: .secret, variables: variable.map { [$0] } ?? [],
            isLeftUnset: true, note: "readable by its user only",
            resolve: { context in
                guard let value = variable.flatMap(context.filled) else {
                    return context.absolute(join(context.homeDirectory, name))
                }
                // KUBECONFIG is a list; what is written goes to the first.
                let first = variable == "KUBECONFIG" ? value.split(separator: ":").first.map(String.init) : nil
                return context.absolute(join(first ?? value, inside ?? ""))
            })
    }
}
