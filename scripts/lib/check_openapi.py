"""Holds openapi.yaml against a packet-control binary; see scripts/check-openapi."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
EPOCH = "0af3" * 8


class Failure(Exception):
    pass


def routes_of(document):
    return {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method in METHODS
    }


def check_routes(document, binary):
    served = set(subprocess.run([binary, "routes"], check=True, capture_output=True, text=True).stdout.splitlines())
    written = routes_of(document)
    for route in sorted(served - written):
        raise Failure(f"{route} is served and not in openapi.yaml")
    for route in sorted(written - served):
        raise Failure(f"{route} is in openapi.yaml and not served")
    return served


class Server:
    """A server on loopback with a database of its own, which goes away with it."""

    def __init__(self, binary, document):
        self.document = document
        self.seen = set()
        self.directory = tempfile.mkdtemp(prefix="check-openapi-")
        path = lambda name: os.path.join(self.directory, name)
        subprocess.run(
            [binary, "token", "create", "--tokens", path("tokens"), "--team", "alpha", "--out", path("secret")], check=True
        )
        with open(path("secret"), encoding="ascii") as file:
            self.team = file.read().strip()
        self.process = subprocess.Popen(
            [binary, "serve", "--database", path("db"), "--tokens", path("tokens"), "--listen", "127.0.0.1:0",
             "--port-file", path("port")],
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 20
        while not os.path.exists(path("port")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure("the server did not start: " + self.stop())
            time.sleep(0.02)
        with open(path("port"), encoding="ascii") as file:
            self.url = f"http://127.0.0.1:{int(file.read())}"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=20)
        shutil.rmtree(self.directory)
        if self.process.returncode != 0:
            raise Failure(f"the server ended with {self.process.returncode}: {log.decode()}")
        return log.decode()

    def call(self, method, template, expected, body=None, token=None, media="application/json", **parameters):
        """Sends a request; the status must be the expected one, written down, and the body must fit its schema."""
        query = parameters.pop("query", "")
        request = urllib.request.Request(self.url + template.format(**parameters) + query, method=method)
        if token:
            request.add_header("authorization", token if " " in token else f"Bearer {token}")
        if body is not None:
            request.add_header("content-type", media)
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                status, kind, data = response.status, response.headers.get("content-type"), response.read()
        except urllib.error.HTTPError as error:
            status, kind, data = error.code, error.headers.get("content-type"), error.read()
        where = f"{method} {template} -> {status}"
        if status != expected:
            raise Failure(f"{where}, not {expected}: {data.decode(errors='replace')}")
        operation = self.document["paths"][template][method.lower()]
        self.seen.add(f"{method} {template}")
        answer = operation["responses"].get(str(status))
        if answer is None:
            raise Failure(f"{where} is not in openapi.yaml")
        if "$ref" in answer:
            answer = self.resolve(answer["$ref"])
        content = answer.get("content")
        if content is None:
            if data:
                raise Failure(f"{where} has a body that openapi.yaml does not name")
            return None
        kind = (kind or "").split(";")[0]
        if kind not in content:
            raise Failure(f"{where} is {kind}, not {list(content)}")
        if kind != "application/json":
            return data
        value = json.loads(data)
        schema = {**content[kind]["schema"], "components": self.document["components"]}
        for error in Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(value):
            raise Failure(f"{where} at {list(error.absolute_path)}: {error.message}")
        if status < 400 and "podToken" in value and template == "/v1/subscriptions/{id}":
            raise Failure(f"{where} shows a token")
        return value

    def resolve(self, reference):
        value = self.document
        for part in reference.removeprefix("#/").split("/"):
            value = value[part]
        return value


def event(pod, seq, start, end, **data):
    kind = "gap" if "cause" in data else "usage"
    if kind == "usage":
        data |= {"observed_ms": end - start, "samples": 1, "expected_samples": 1, "memory_byte_ms": 9 * 10**18}
    return {
        "specversion": "1.0", "id": f"{EPOCH}:{seq}", "source": f"//packet/pods/{pod}", "type": f"com.packet.gpu.{kind}.v1",
        "data": {"pod_uid": pod, "epoch": EPOCH, "seq": seq, "gpu_uuid": "GPU-1", "boot_id": "b", "start_ms": start,
                 "end_ms": end, "end_realtime_ms": int(time.time() * 1000) - 10, **data},
    }


def dance(server):
    """Every route, its success and its errors."""
    team, call = server.team, server.call
    volumes, snapshots, subscriptions = "/v1/volumes", "/v1/snapshots", "/v1/subscriptions"
    call("GET", "/healthz", 200)
    call("GET", "/", 401)
    call("GET", volumes, 401)
    call("GET", volumes, 400, token=team, query="?cursor=x")
    call("POST", volumes, 400, {"name": "../x", "size_gb": 1}, team)
    call("POST", volumes, 415, b"{}", team, media="text/plain")
    call("POST", volumes, 413, b" " * 70000, team)
    volume = call("POST", volumes, 201, {"name": "my-storage", "size_gb": 50}, team)
    shape = {"displayName": "train", "poolId": 12, "vgpus": 1, "hfModel": "meta-llama/Llama-3.1-8B"}
    pod = call("POST", subscriptions, 201, {**shape, "sharedVolumeIds": [volume["id"]]}, team)
    call("POST", subscriptions, 409, {**shape, "sharedVolumeIds": [volume["id"]]}, team)
    call("POST", subscriptions, 400, {"displayName": "x"}, team)
    token, uid = pod["podToken"], pod["podUid"]
    hello = {"epoch": EPOCH, "boot_id": "b", "agent_version": "0", "started_at": "2026-11-23T00:00:00Z", "volumes": [], "gpus": []}
    route = "/v1/pods/{pod}/"
    call("POST", route + "hello", 200, hello, token, pod=uid)
    call("POST", route + "hello", 403, hello, token, pod="another")
    call("POST", route + "hello", 400, {}, token, pod=uid)
    batch = [event(uid, 0, 0, 100), event(uid, 1, 100, 150, cause="agent_down"), event(uid, 2, 120, 130)]
    media = "application/cloudevents-batch+json"
    answer = call("POST", route + "usage", 200, batch, token, media, pod=uid)
    if answer["durable"] != [{"epoch": EPOCH, "through_seq": 2}] or answer["rejected"][0]["reason"] != "overlap":
        raise Failure(f"unexpected acknowledgement: {answer}")
    call("POST", route + "usage", 400, b"[{}]", token, media, pod=uid)
    call("POST", route + "usage", 415, batch, token, pod=uid)
    call("POST", route + "usage", 403, batch, team, media, pod=uid)
    risk = {"total_bytes": 5, "total_files": 1, "complete": True, "as_of": "2026-11-23T00:00:00Z"}
    call("DELETE", subscriptions + "/{id}", 409, token=team, id=pod["id"])
    call("PUT", route + "report", 204, {"at_risk": risk, "doctor": {"exit": 0}, "boot": None}, token, pod=uid)
    call("PUT", route + "report", 400, {"at_risk": 1}, token, pod=uid)
    snapshot = call("POST", snapshots, 201, {"name": "working"}, token)
    call("POST", snapshots, 403, {"name": "x", "podUid": "another"}, token)
    call("POST", snapshots, 404, {"name": "x", "podUid": "another"}, team)
    call("POST", snapshots, 201, {**shape, "persistentVolumeName": "my-storage"}, team)
    for who in (team, token):
        call("GET", snapshots, 200, token=who)
        call("GET", snapshots + "/{id}", 200, token=who, id=snapshot["id"])
        call("GET", subscriptions + "/{id}", 200, token=who, id=pod["id"])
    call("GET", snapshots + "/{id}", 404, token=team, id="none")
    call("POST", snapshots + "/{id}/restore", 409, token=team, id=snapshot["id"])
    call("DELETE", volumes + "/{id}", 409, token=team, id=volume["id"])
    refused = call("DELETE", subscriptions + "/{id}", 409, token=team, id=pod["id"])
    if refused["error"]["at_risk"] != {**risk, "as_of": "2026-11-23T00:00:00.000Z"}:
        raise Failure(f"the refusal does not name what is at risk: {refused}")
    call("DELETE", subscriptions + "/{id}", 200, token=team, id=pod["id"], query="?confirm=loss")
    call("POST", route + "usage", 401, batch, token, media, pod=uid)
    restored = call("POST", snapshots + "/{id}/restore", 201, {"name": "again"}, team, id=snapshot["id"])
    if restored["sharedVolumeIds"] != [volume["id"]]:
        raise Failure(f"the volume did not come back: {restored}")
    call("POST", route + "hello", 200, hello, restored["podToken"], pod=restored["podUid"])
    call("GET", subscriptions, 200, token=team)
    call("GET", volumes, 200, token=team)
    export = call("GET", "/v1/usage", 200, token=team)
    if export["subscriptions"][0]["observed_ms"] != 100 or export["subscriptions"][0]["gap_ms"] != 50:
        raise Failure(f"unexpected export: {export}")
    call("GET", "/v1/usage", 400, token=team, query="?from=yesterday")
    basic = "Basic " + base64.b64encode(f"me:{team}".encode()).decode()
    call("GET", "/", 200, token=basic)
    call("DELETE", snapshots + "/{id}", 204, token=team, id=snapshot["id"])
    call("DELETE", subscriptions + "/{id}", 200, token=team, id=restored["id"], query="?confirm=loss")
    call("DELETE", volumes + "/{id}", 200, token=team, id=volume["id"])
    return {"team's token": team, "pod's token": token, "restored pod's token": restored["podToken"]}


def main():
    path, binary = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    try:
        validate(document)
    except OpenAPIValidationError as error:
        raise Failure(f"{path} is not a valid document: {error.message}") from None
    routes = check_routes(document, binary)
    server = Server(binary, document)
    try:
        secrets = dance(server)
    finally:
        log = server.stop()
    for name, secret in secrets.items():
        if secret in log:
            raise Failure(f"the {name} is in the log")
    if untried := routes - server.seen:
        raise Failure(f"never tried: {sorted(untried)}")
    print(f"check-openapi: {len(routes)} routes as written")


try:
    main()
except Failure as failure:
    sys.exit(f"check-openapi: {failure}")
