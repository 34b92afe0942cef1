/// Keras (3.15 `backend/config.py`, `utils/file_utils.py`, `get_file`): in /tmp when the directory cannot be written.
enum Keras {
    static let locations = [
        ToolLocation(
            id: "keras", title: "Keras", kind: "model-cache", placement: .direct, variables: ["KERAS_HOME"],
            volumeSubdirectory: "models/keras", note: "weights and datasets are downloaded once",
            resolve: { context in
                let home = context.homeDirectory
                let named = context.value("KERAS_HOME") ?? join(context.isWritable(home) ? home : "/tmp", ".keras")
                let directory = context.expandUser(named)
                // A file that can be written is taken for a directory, and nothing is kept.
                let isFile = context.files.entry(at: context.absolute(directory))?.isDirectory == false
                if isFile && context.isWritable(directory) { return nil }
                // The import makes the directory, but as it is written: `~` is expanded only later.
                let isUsable = directory == named ? context.canMakeDirectory(named) : context.isWritable(directory)
                return context.absolute(isUsable && !directory.isEmpty ? directory : "/tmp/.keras")
            })
    ]
}
