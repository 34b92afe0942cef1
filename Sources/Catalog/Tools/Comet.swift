/// Comet (comet_ml 3.58 `config/config_helper.py`, `config/config_class.py`).
enum Comet {
    static let locations = [
        ToolLocation(
            id: "comet-configuration", title: "Comet key", kind: "secret", placement: .secret,
            variables: ["COMET_CONFIG"], note: "holds the API key",
            resolve: { context in
                guard let named = context.value("COMET_CONFIG") else {
                    return context.absolute(context.expandUser("~/.comet.config"))
                }
                let isDirectory = context.files.entry(at: context.absolute(named))?.isDirectory == true
                return context.absolute(context.expandUser(isDirectory ? join(named, ".comet.config") : named))
            }),
        ToolLocation(
            id: "comet-offline", title: "Comet offline runs", kind: "other", placement: .local,
            variables: ["COMET_OFFLINE_DIRECTORY"],
            note: "runs that wait for their upload, only when the variable is set",
            resolve: { $0.filled("COMET_OFFLINE_DIRECTORY").map($0.absolute) }),
    ]
}
