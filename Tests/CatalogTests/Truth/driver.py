"""Asks a real package where it would put things, in random environments.

    driver.py prepare PACKAGE.py SEED COUNT DIRECTORY
    driver.py ask PACKAGE.py DIRECTORY

`prepare` makes the cases below DIRECTORY and writes them to cases.json there. `ask` prints one JSON object a case: the
paths that the package reports. Between the two nothing has been touched by the package, so that the catalog can look at
the same files. PACKAGE.py, a file of this directory, declares

    VARIABLES   the variables that move it
    VALUES      {variable: values} where the usual ones make no sense
    FILES       {path: texts} of configuration files, each there in some cases; {home}, {cwd}, {dir}, {prefix} stand for
                directories of the case
    load()      imports the package, once
    answers()   {id of the catalog: function}; called in a new process with the case's environment, user and working
                directory. A function that raises says that the package refuses to work: nil in the catalog.

Runs as root in a mount namespace of its own (unshare --mount): it replaces /etc and /tmp.
"""
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import types

HOMES = ["{home}"] * 12 + [None, None, None, "", "rel", "{home}/", "/", "rel/x", "{missing}"]
# The usual values of a variable that names a directory.
PATHS = [
    "", "{dir}/abs/dir", "rel", "./rel/../other", "~", "~/tilde", "~root/x", "~nobody-such/x", "$HOME/var", "${HOME}/var/$",
    "${UNKNOWN}/x", "{dir}/up/../there", "{dir}//two//slashes/", "a b", " {dir}/padded ", "{home}/own", "{exists}",
    "{readonly}", "{readonly}/new", "{foreign}", "{foreign}/new", "{file}", "{missing}/deep/er", "/",
]
COMMON = ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR"]
USER = 1234


def bare(name):
    """Registers a package without running its `__init__`, so that single modules load without all dependencies."""
    parent, _, child = name.rpartition(".")
    if parent:
        paths = [os.path.join(path, child) for path in (sys.modules.get(parent) or bare(parent)).__path__]
    else:
        paths = importlib.util.find_spec(name).submodule_search_locations
    module = types.ModuleType(name)
    module.__path__ = list(paths)
    sys.modules[name] = module
    return module


def fresh(*modules):
    """Runs modules again, as a new process would at import."""
    for module in modules:
        exec(CODE[module.__name__], module.__dict__)


def remember(*modules):
    """Keeps the code of modules for `fresh`: another user may not be able to read it."""
    for module in modules:
        CODE[module.__name__] = module.__spec__.loader.get_code(module.__name__)


CODE = {}


def prepare_system(directory):
    """A copy of /etc with two users."""
    shutil.copytree("/etc", directory + "/etc", symlinks=True)
    with open(directory + "/etc/passwd", "w") as file:
        file.write(f"root:x:0:0::{directory}/passwd-root:/bin/sh\n")
        file.write(f"tester:x:{USER}:{USER}::{directory}/passwd-tester:/bin/sh\n")
    for name, uid in [("passwd-root", 0), ("passwd-tester", USER)]:
        os.mkdir(f"{directory}/{name}")
        os.chown(f"{directory}/{name}", uid, uid)


def enter_system(directory):
    """That copy as /etc, an empty /tmp, and everything else but the cases read-only, also for root."""
    mount = lambda *arguments: subprocess.run(["mount", *arguments], check=True)
    mount("--rbind", directory, directory)
    mount("--bind", directory + "/etc", "/etc")
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/tmp")
    mount("-o", "remount,bind,ro", "/")


class Case:
    def __init__(self, package, random, directory):
        self.uid = USER if random.random() < 0.3 else 0
        places = {name: f"{directory}/{name}" for name in ["home", "exists", "readonly", "foreign", "file", "missing"]}
        places.update(dir=directory, cwd=f"{directory}/work/sub", prefix=sys.prefix)
        for name in ["home", "exists", "readonly", "foreign", "work", "work/sub"]:
            os.makedirs(f"{directory}/{name}")
            os.chown(f"{directory}/{name}", self.uid, self.uid)
        with open(places["file"], "w"):
            pass
        os.chown(places["foreign"], 4321, 4321)
        # Root writes everywhere: a read-only directory is one only for the other user.
        os.chmod(places["readonly"], 0o555)
        if random.random() < 0.15:
            os.chmod(places["home"], 0o555)
        if random.random() < 0.15:
            os.chown(places["cwd"], 4321, 4321)
        fill = lambda text: text if text is None else self.fill(text, places)
        self.cwd, self.environment = places["cwd"], {"PATH": "/usr/bin:/bin"}
        if (home := fill(random.choice(HOMES))) is not None:
            self.environment["HOME"] = home
        for name in COMMON + package.VARIABLES:
            if random.random() < 0.35:
                self.environment[name] = fill(random.choice(getattr(package, "VALUES", {}).get(name, PATHS)))
        self.files = {}
        for path, texts in getattr(package, "FILES", {}).items():
            path, text = os.path.normpath(fill(path)), None
            if random.random() < 0.4:
                text = fill(random.choice(texts))
            if not path.startswith(directory):
                # A file of the system is there in its case only.
                self.files[path] = text
            elif text is not None and not os.path.exists(path):
                self.write(path, text)

    def write(self, path, text):
        above = os.path.dirname(path)
        made = []
        while not os.path.exists(above):
            made.append(above)
            above = os.path.dirname(above)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        for name in made + [path]:
            os.chown(name, self.uid, self.uid)

    @staticmethod
    def fill(text, places):
        for name, path in places.items():
            text = text.replace("{" + name + "}", path)
        return text

    def facts(self, directory):
        name = {0: "root", USER: "tester"}[self.uid]
        return {
            "environment": self.environment, "workingDirectory": self.cwd, "uid": self.uid, "files": self.files,
            "userName": name, "home": f"{directory}/passwd-{name}", "prefix": sys.prefix,
        }


def ask(package, case):
    """The package's answers in a new process with the case's environment, user and working directory."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            uid = case["uid"]
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.chdir(case["workingDirectory"])
            os.environ.clear()
            os.environ.update(case["environment"])
            paths, refusals = {}, {}
            for name, answer in package.answers().items():
                try:
                    path = answer()
                    if path is not None:
                        path = "/" + os.path.abspath(os.path.join(case["workingDirectory"], str(path))).lstrip("/")
                except (Exception, SystemExit) as error:
                    path, refusals[name] = None, f"{type(error).__name__}: {error}"
                paths[name] = path
            os.write(writer, json.dumps({"paths": paths, "refusals": refusals}).encode())
        except BaseException as error:
            os.write(writer, json.dumps({"paths": {}, "refusals": {"": repr(error)}}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answer = json.loads(file.read())
    os.waitpid(child, 0)
    return answer


def empty(directory):
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def main():
    # The files here have the names of the packages.
    sys.path.pop(0)
    sys.modules["driver"] = sys.modules["__main__"]
    spec = importlib.util.spec_from_file_location("truth", sys.argv[2])
    package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    directory = sys.argv[-1]
    if sys.argv[1] == "prepare":
        generator = random.Random(int(sys.argv[3]))
        prepare_system(directory)
        cases = [Case(package, generator, f"{directory}/{number}") for number in range(int(sys.argv[4]))]
        with open(directory + "/cases.json", "w") as file:
            json.dump([case.facts(directory) for case in cases], file)
        return
    with open(directory + "/cases.json") as file:
        cases = json.load(file)
    enter_system(directory)
    package.load()
    # What a package prints is not an answer.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    for case in cases:
        for place in ["/tmp", directory + "/passwd-root", directory + "/passwd-tester"]:
            empty(place)
        for path, text in case["files"].items():
            if os.path.lexists(path):
                os.unlink(path)
            if text is not None:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as file:
                    file.write(text)
        output.write(json.dumps(ask(package, case)) + "\n")
    output.flush()


if __name__ == "__main__":
    main()
