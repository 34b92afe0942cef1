import Catalog
public import Storage

/// What a group of files at risk is to the user.
public enum AtRiskKind: String, Sendable, Codable, CaseIterable {
    /// A model, dataset or space in the cache of the Hugging Face hub.
    case hubRepository = "hf-hub"
    /// Datasets that the `datasets` library prepared.
    case preparedDatasets = "hf-datasets"
    /// Other training data.
    case dataset
    /// A source tree, such as a git clone.
    case code
    /// Downloads of pip or uv.
    case pipCache = "pip-cache"
    /// Installed Python packages.
    case pipPackages = "pip-packages"
    /// A Python virtual environment.
    case virtualEnvironment = "venv"
    /// A conda environment.
    case conda
    /// Compiled kernels.
    case compileCache = "compile-cache"
    /// Models that another tool downloaded.
    case modelCache = "model-cache"
    /// Weights that a training run wrote.
    case checkpoint
    /// Jupyter notebooks.
    case notebook
    /// Commits that exist nowhere else.
    case unpushedCommits = "git-unpushed"
    /// Settings in a home directory.
    case dotfile
    /// Keys and tokens.
    case secret
    /// Packages of the distribution.
    case distributionPackages = "apt"
    /// Anything else.
    case other
}

/// A place where a tool keeps data, and what that data is.
public struct KnownLocation: Sendable, Equatable {
    /// What the data is.
    public let kind: AtRiskKind
    /// The directory or file, without symbolic links.
    public let path: BytePath
    /// What to call it.
    public let title: String

    /// Names a place.
    public init(kind: AtRiskKind, path: BytePath, title: String) {
        self.kind = kind
        self.path = path
        self.title = title
    }

    /// Where the tools of the catalog keep data for each home directory.
    ///
    /// - Parameters:
    ///   - homes: home directories.
    ///   - environment: the variables that move the places of the first home; no variables give the tools' own defaults.
    public static func defaults(homes: [BytePath], environment: [String: String] = [:]) -> [KnownLocation] {
        homes.flatMap { home in
            tools(home, [:]) + (home == homes.first && !environment.isEmpty ? tools(home, environment) : [])
        }
    }

    private static func tools(_ home: BytePath, _ environment: [String: String]) -> [KnownLocation] {
        guard let text = home.text else { return [] }
        var environment = environment
        environment["HOME"] = text
        // Nothing is read: a home directory may lie on a file system that does not answer.
        let context = ResolutionContext(environment: environment, home: text, files: NoFiles())
        var found: Set<BytePath> = []
        return Catalog.tools.compactMap { tool in
            guard let kind = AtRiskKind(rawValue: tool.kind), kind != .other, let path = tool.resolve(context) else {
                return nil
            }
            let place = BytePath(path)
            // A place that holds everybody's files says nothing about any of them; of tools that share one the first counts.
            guard place.components.count > 1, !home.isWithin(place), found.insert(place).inserted else { return nil }
            // What is not a repository in the hub's home is its bookkeeping.
            return KnownLocation(kind: kind == .hubRepository ? .modelCache : kind, path: place, title: tool.title)
        }
    }
}
