import os
import subprocess
import sys

from driver import fresh, remember

VARIABLES = ["PIP_CACHE_DIR", "PIP_CONFIG_FILE", "PIP_NO_CACHE_DIR", "XDG_CONFIG_DIRS"]
VALUES = {
    "PIP_CONFIG_FILE": ["", "/dev/null", "{dir}/chosen.conf", "../chosen.conf", "{missing}", "~/chosen.conf"],
    "PIP_NO_CACHE_DIR": ["", "", "1", "false"],
    "XDG_CONFIG_DIRS": ["", "{dir}/site", "rel:{dir}/site:{dir}/other", " {dir}/site ", ":"],
}
TEXTS = [
    "[global]\ncache-dir = {dir}/global\n", "[install]\ncache_dir: ~/install\n", "[global]\ntimeout = 60\n; none\n",
    "# none\n[global]\nCache-Dir =\n    {dir}/second\n[install]\n", "[DEFAULT]\ncache-dir = rel\n[install]\n",
    "[download]\ncache-dir = {dir}/download\n[global]\n--cache-dir = $HOME/x\n", "[global]\ncache-dir =\n",
    "[global]\ncache-dir = {foreign}/x\n", "[install]\nno-cache-dir = off\n",
]
FILES = {
    path: TEXTS
    for path in [
        "/etc/pip.conf", "/etc/xdg/pip/pip.conf", "{dir}/site/pip/pip.conf", "{dir}/other/pip/pip.conf",
        "{home}/.pip/pip.conf", "{home}/.config/pip/pip.conf", "{home}/own/pip/pip.conf", "{dir}/chosen.conf",
        "{dir}/work/chosen.conf", "{prefix}/pip.conf",
    ]
}


def load():
    global modules, configuration
    from pip._internal import configuration
    from pip._internal.cli import cmdoptions
    from pip._internal.commands import cache, install
    from pip._internal.locations import base

    modules = [base, cmdoptions, install, cache]
    remember(*modules)


def directory(name):
    """What the command would use: everything but its work is done."""
    from pip._internal.commands import create_command

    command, found = create_command(name), []
    command.run = lambda options, arguments: found.append(options.cache_dir) or 0
    command.main([])
    return found[0] or None


def answers():
    import pip._internal.locations

    fresh(modules[0])
    pip._internal.locations.USER_CACHE_DIR = modules[0].USER_CACHE_DIR
    fresh(*modules[1:])

    def cache():
        # In one case of sixteen the whole program must say what its parts say here.
        if int(os.getcwd().split("/")[-3]) % 16 == 0:
            whole = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True)
            expected = directory("cache")
            assert (whole.stdout.strip() if whole.returncode == 0 else None) == expected, (whole, expected)
        return directory("install")

    def user_file():
        settings = configuration.Configuration(isolated=False, load_only=configuration.Kind.USER)
        settings.load()
        return settings.get_file_to_edit()

    return {"pip-configuration": user_file, "pip-cache": cache}
