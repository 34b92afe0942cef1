import os
import tempfile

VARIABLES = [
    "WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR", "WANDB_CONFIG_DIR", "TEMP", "TMP",
]
FILES = {"{cwd}/.wandb/x": ["x"], "{exists}/.wandb/x": ["x"], "{home}/own/.wandb/x": ["x"]}


def load():
    global env, wandb_init, wandb_settings, wandb_setup
    import wandb
    from wandb import env
    from wandb.sdk import wandb_init, wandb_settings, wandb_setup


def answers():
    tempfile.tempdir = None

    def runs():
        settings = wandb_settings.Settings()
        settings.update_from_env_vars(os.environ)
        wandb_init.try_create_root_dir(settings)
        return settings.wandb_dir

    def configuration():
        setup = wandb_setup._WandbSetup(pid=os.getpid())
        setup._load_settings(system_settings_path=None, disable_sagemaker=True)
        return os.path.dirname(setup._settings.settings_system)

    return {
        "wandb-runs": runs, "wandb-cache": env.get_cache_dir, "wandb-data": env.get_data_dir,
        "wandb-artifacts": env.get_artifact_dir, "wandb-configuration": configuration,
    }
