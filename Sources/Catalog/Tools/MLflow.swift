/// MLflow (mlflow-skinny 3.17 `tracking/_tracking_service/utils.py`): a database beside the code unless a server is named.
enum MLflow {
    static let locations = [
        ToolLocation(
            id: "mlflow", title: "MLflow runs", kind: "other", placement: .synced, variables: ["MLFLOW_TRACKING_URI"],
            isLeftUnset: true, note: "SQLite, which network file systems break; the variable usually names a server",
            resolve: { context in
                guard let uri = context.filled("MLFLOW_TRACKING_URI") else {
                    let old = context.absolute("mlruns")
                    let runs = context.files.names(in: old).filter { name in name.allSatisfy(\.isNumber) }
                    let isUsed = runs.contains { context.exists(join(old, $0, "meta.yaml")) }
                    return isUsed ? old : context.absolute("mlflow.db")
                }
                if uri.hasPrefix("sqlite:///") { return context.absolute(String(uri.dropFirst("sqlite:///".count))) }
                if uri.hasPrefix("file://") { return context.absolute(String(uri.dropFirst("file://".count))) }
                if uri.hasPrefix("file:") { return context.absolute(String(uri.dropFirst("file:".count))) }
                // Everything else with a scheme is a server.
                return uri.contains(":") ? nil : context.absolute(uri)
            })
    ]
}
