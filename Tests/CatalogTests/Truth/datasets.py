import importlib.metadata

from driver import bare, fresh, remember

VARIABLES = ["HF_HOME", "HF_DATASETS_CACHE", "HF_MODULES_CACHE"]


def load():
    global config
    # `datasets.config` asks for the versions of large dependencies, which no path depends on.
    version = importlib.metadata.version
    importlib.metadata.version = lambda name: "99" if name in ("pandas", "pyarrow") else version(name)
    bare("datasets")
    from datasets import config

    remember(config)


def answers():
    fresh(config)
    return {
        "huggingface-datasets": lambda: config.HF_DATASETS_CACHE,
        "huggingface-modules": lambda: config.HF_MODULES_CACHE,
    }
