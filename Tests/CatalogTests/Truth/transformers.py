from driver import fresh, remember

VARIABLES = ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_MODULES_CACHE", "TRANSFORMERS_CACHE"]


def load():
    global constants, hub
    from huggingface_hub import constants
    from transformers.utils import hub

    remember(constants, hub)


def answers():
    fresh(constants, hub)
    return {
        "transformers-modules": lambda: hub.HF_MODULES_CACHE,
        # Models are looked for there; TRANSFORMERS_CACHE is not read any more.
        "huggingface-hub": lambda: hub.constants.HF_HUB_CACHE,
    }
