/// Text corpora: NLTK and gensim.
enum DataStores {
    static let locations = [
        // nltk 3.10 `data.py`, `downloader.py`: the first path that exists and can be written, else ~/nltk_data.
        ToolLocation(
            id: "nltk", title: "NLTK data", kind: "dataset", placement: .direct, variables: ["NLTK_DATA"],
            volumeSubdirectory: "data/nltk", mustExist: true, note: "corpora are downloaded once",
            resolve: { context in
                let named =
                    context.value("NLTK_DATA")?.split(separator: ":").map { context.expandUser(String($0)) } ?? []
                let own = join(context.homeDirectory, "nltk_data")
                let prefix = context.filled("VIRTUAL_ENV") ?? "/usr"
                let shared = ["", "share", "lib"].map { join(prefix, $0, "nltk_data") }
                let system = ["/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib"].map {
                    join($0, "nltk_data")
                }
                let candidates = (named + [own] + shared + system).map(context.absolute)
                return candidates.first { context.isWritableDirectory($0) } ?? context.absolute(own)
            }),
        // gensim 4.4 `downloader.py`: an empty value counts, `~` is not expanded.
        ToolLocation(
            id: "gensim", title: "gensim data", kind: "dataset", placement: .direct, variables: ["GENSIM_DATA_DIR"],
            volumeSubdirectory: "data/gensim", note: "corpora and vectors are downloaded once",
            resolve: { $0.absolute($0.value("GENSIM_DATA_DIR") ?? join($0.homeDirectory, "gensim-data")) }),
    ]
}
