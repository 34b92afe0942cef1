import importlib

VARIABLES = ["MODELSCOPE_CACHE", "MS_CACHE_HOME", "MODELSCOPE_HOME", "MODELSCOPE_CREDENTIALS_PATH"]
VALUES = {
    "MODELSCOPE_CREDENTIALS_PATH": [
        "", "{file}", "{exists}", "{missing}/credentials", "{missing}", "~/credentials", "rel", "rel/credentials/",
    ]
}


def load():
    global hub, client, file_utils
    import modelscope_hub as client
    from modelscope import hub
    from modelscope.utils import file_utils


def answers():
    def settings():
        client.set_default_config(client.HubConfig())
        hub._sync_config()
        return client.get_default_config()

    return {
        "modelscope": lambda: settings().cache_dir, "modelscope-home": lambda: settings().config_dir,
        "modelscope-old": lambda: file_utils.get_modelscope_cache_dir(),
    }
