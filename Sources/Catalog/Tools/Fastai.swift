/// fastai (2.8 `data/external.py`, fastcore `Config`). Its `config.ini` may send archives and data elsewhere.
enum Fastai {
    static let locations = [
        ToolLocation(
            id: "fastai", title: "fastai data", kind: "dataset", placement: .direct, variables: ["FASTAI_HOME"],
            volumeSubdirectory: "data/fastai", note: "datasets are downloaded once",
            resolve: { $0.absolute($0.expandUser($0.value("FASTAI_HOME") ?? "~/.fastai")) })
    ]
}
