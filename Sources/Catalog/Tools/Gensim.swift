/// gensim (4.4 `downloader.py`): an empty value counts, `~` is not expanded.
enum Gensim {
    static let locations = [
        ToolLocation(
            id: "gensim", title: "gensim data", kind: "dataset", placement: .direct, variables: ["GENSIM_DATA_DIR"],
            volumeSubdirectory: "data/gensim", note: "corpora and vectors are downloaded once",
            resolve: { $0.absolute($0.value("GENSIM_DATA_DIR") ?? $0.expandUser("~/gensim-data")) })
    ]
}
