from driver import fresh, remember

VARIABLES = ["KAGGLEHUB_CACHE"]


def load():
    global config
    from kagglehub import config

    remember(config)


def answers():
    fresh(config)
    return {"kagglehub": config.get_cache_folder}
