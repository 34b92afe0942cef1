import os
import tempfile

VARIABLES = ["IPYTHONDIR"]
FILES = {"{home}/.config/ipython/profile": ["x"], "{home}/own/ipython/profile": ["x"], "{home}/.ipython/profile": ["x"]}


def load():
    global get_ipython_dir
    from IPython.paths import get_ipython_dir


def answers():
    def directory():
        made = []
        tempfile.mkdtemp = lambda: made.append(True) or "/"
        path = get_ipython_dir()
        return None if made else path

    return {"ipython": directory}
