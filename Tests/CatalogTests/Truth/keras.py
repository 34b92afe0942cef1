import os

from driver import bare, fresh, remember

VARIABLES = ["KERAS_HOME"]


def load():
    global config, file_utils
    # Only the modules that decide: a backend takes hundreds of megabytes.
    os.environ["KERAS_BACKEND"] = "numpy"
    for name in ["keras", "keras.src", "keras.src.backend", "keras.src.utils"]:
        bare(name)
    from keras.src.backend import config
    from keras.src.utils import file_utils

    remember(config)


def answers():
    def weights():
        fresh(config)
        # A real download of a small local file.
        path = file_utils.get_file("name", origin="file:///etc/hostname", cache_subdir="models")
        return os.path.dirname(os.path.dirname(path))

    return {"keras": weights}
