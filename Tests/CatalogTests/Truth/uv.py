import os
import subprocess
import sys

VARIABLES = [
    "UV_CACHE_DIR", "UV_NO_CACHE", "UV_NO_CONFIG", "UV_CONFIG_FILE", "UV_PYTHON_INSTALL_DIR", "UV_TOOL_DIR",
    "UV_TOOL_BIN_DIR", "XDG_BIN_HOME", "XDG_CONFIG_DIRS",
]
TRUTH = ["0", "0", "no", "false", "1", "Yes", "", "maybe"]
VALUES = {
    "UV_NO_CACHE": TRUTH, "UV_NO_CONFIG": TRUTH,
    "UV_CONFIG_FILE": ["", "{missing}", "{dir}/chosen.toml", "../chosen.toml"],
    "XDG_CONFIG_DIRS": ["", "{dir}/site", "rel:{dir}/site", "{missing}:{dir}/site", ":{dir}/site"],
}
TEXTS = [
    'cache-dir = "{dir}/from-file"\n', 'cache-dir = "rel"\n', "no-cache = true\n", "no-cache = false\n", "", 'offline = true\n', "cache-dir =\n",
    'cache-dir = "~/x"\n[pip]\nstrict = true\n',
]
PROJECTS = [
    '[project]\nname = "x"\nversion = "1"\n', '[tool.uv]\ncache-dir = "{dir}/from-project"\n', "[tool.uv]\n",
    '[project]\nname = "x"\nversion = "1"\n[[tool.uv.index]]\nurl = "https://example.org"\n',
    '[project]\nname = "x"\nversion = "1"\n[tool.uv]\nno-cache = true\n', "[tool.black]\nline-length = 100\n",
]
FILES = {
    **{
        path: TEXTS
        for path in [
            "{home}/.config/uv/uv.toml", "{home}/own/uv/uv.toml", "{cwd}/uv.toml", "{dir}/work/uv.toml",
            "/etc/uv/uv.toml", "/etc/xdg/uv/uv.toml", "{dir}/site/uv/uv.toml", "{dir}/chosen.toml",
            "{dir}/work/chosen.toml",
        ]
    },
    "{cwd}/pyproject.toml": PROJECTS, "{dir}/work/pyproject.toml": PROJECTS,
}


def load():
    global program
    program = os.path.join(os.path.dirname(sys.executable), "uv")
    subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL)


def ask(*arguments):
    result = subprocess.run([program, *arguments], capture_output=True, text=True)
    if arguments[0] != "cache" and "os error" in result.stderr and ".tmp" in result.stderr:
        # The cache cannot be made, which says nothing of the other directories.
        environment = {**os.environ, "TMPDIR": "/tmp"}
        arguments = ["--cache-dir", "/tmp/cache", *arguments]
        result = subprocess.run([program, *arguments], capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    path = result.stdout.rstrip("\n")
    # A new temporary directory stands for no cache.
    return None if os.path.basename(path).startswith(".tmp") else path


def answers():
    return {
        "uv-cache": lambda: ask("cache", "dir"),
        "uv-python": lambda: ask("python", "dir"),
        "uv-tools": lambda: ask("tool", "dir"),
        "uv-programs": lambda: ask("tool", "dir", "--bin"),
    }
