from driver import fresh, remember

VARIABLES = [
    "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ASSETS_CACHE", "HUGGINGFACE_ASSETS_CACHE", "HF_XET_CACHE",
    "HF_TOKEN_PATH", "HUGGINGFACE_CO_STAGING",
]
VALUES = {"HUGGINGFACE_CO_STAGING": ["", "0", "1", "yes", "True", "on", "2"]}


def load():
    global constants
    from huggingface_hub import constants

    remember(constants)


def answers():
    fresh(constants)
    return {
        "huggingface-home": lambda: constants.HF_HOME,
        "huggingface-hub": lambda: constants.HF_HUB_CACHE,
        "huggingface-assets": lambda: constants.HF_ASSETS_CACHE,
        "huggingface-xet": lambda: constants.HF_XET_CACHE,
        "huggingface-token": lambda: constants.HF_TOKEN_PATH,
        "huggingface-stored-tokens": lambda: constants.HF_STORED_TOKENS_PATH,
    }
