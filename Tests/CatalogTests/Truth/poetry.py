from pathlib import Path

from driver import fresh, remember

VARIABLES = ["POETRY_CACHE_DIR", "POETRY_VIRTUALENVS_PATH", "POETRY_CONFIG_DIR", "POETRY_DATA_DIR", "POETRY_HOME"]
VALUES = {
    "POETRY_VIRTUALENVS_PATH": ["", "/abs", "rel", "~/venvs", "{cache-dir}/own", "{data-dir}/v", "{unknown}/v", "a{cache-dir}"],
    "POETRY_CONFIG_DIR": ["", "{home}/own", "../rel", "~/x", "{missing}"],
}
TEXTS = [
    'cache-dir = "{dir}/from-file"\n', '[virtualenvs]\npath = "~/venvs"\n', 'data-dir = "rel"\n', "",
    '[virtualenvs]\nin-project = true\n', 'virtualenvs.path = "{cache-dir}/dotted"\ncache-dir = "~/c"\n',
]
FILES = {
    **{
        path: TEXTS
        for path in [
            "{home}/.config/pypoetry/config.toml", "{home}/.config/pypoetry/auth.toml", "{home}/own/config.toml",
            "{dir}/work/rel/config.toml", "{cwd}/poetry.toml", "{dir}/work/poetry.toml", "{home}/own/pypoetry/config.toml",
        ]
    },
    "{cwd}/pyproject.toml": ['[project]\nname = "x"\nversion = "1"\n'],
    "{dir}/work/pyproject.toml": ['[project]\nname = "y"\nversion = "1"\n'],
}


def load():
    global locations, config, factory
    from poetry import factory, locations
    from poetry.config import config

    remember(locations, config, factory)


def answers():
    fresh(locations, config, factory)
    factory.Config = config.Config
    try:
        settings = factory.Factory().create_poetry(Path.cwd(), disable_plugins=True, disable_cache=True).config
    except RuntimeError:
        # No project here.
        settings = config.Config.create(reload=True)
    return {
        "poetry-cache": lambda: Path(settings.get("cache-dir")).expanduser(),
        "poetry-environments": lambda: settings.virtualenvs_path,
        "poetry-data": lambda: Path(settings.get("data-dir")).expanduser(),
        "poetry-configuration": lambda: locations.CONFIG_DIR,
    }
