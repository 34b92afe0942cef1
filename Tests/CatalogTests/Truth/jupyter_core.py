from driver import fresh, remember

VARIABLES = [
    "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_NO_CONFIG", "JUPYTER_PLATFORM_DIRS",
]
TRUTH = ["", "0", "1", "no", "False", "off", "yes", "0.0"]
VALUES = {"JUPYTER_NO_CONFIG": ["", "", "1", "0"], "JUPYTER_PLATFORM_DIRS": TRUTH}


def load():
    global paths
    from jupyter_core import paths

    remember(paths)


def answers():
    fresh(paths)

    def config():
        directory = paths.jupyter_config_dir()
        # Without settings of the user: a new temporary directory at every start.
        return None if "jupyter-clean-cfg-" in directory else directory

    return {
        "jupyter-data": paths.jupyter_data_dir, "jupyter-configuration": config,
        "jupyter-runtime": paths.jupyter_runtime_dir,
    }
