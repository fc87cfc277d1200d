"""A Hub on this machine: as much of its REST interface as the clients use, in memory, with faults on request."""

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from urllib.parse import unquote
from urllib.parse import urlsplit

import datasets
import huggingface_hub

TOKEN = "hf_of_the_tests"
REPOSITORY = r"(?P<id>[\w.-]+/[\w.-]+)"
API = rf"/api/(?P<kind>models|datasets|spaces)/{REPOSITORY}"
FILES = rf"/(?:(?P<kind>datasets|spaces)/)?{REPOSITORY}"
ROUTES = {  # name of the handler's method, which is also what a fault is asked for by
    "whoami": ("GET", r"/api/whoami-v2"),
    "create": ("POST", r"/api/repos/create"),
    "validate": ("POST", r"/api/validate-yaml"),
    "preupload": ("POST", rf"{API}/preupload/(?P<revision>[^/]+)"),
    "lfs_batch": ("POST", rf"{FILES}\.git/info/lfs/objects/batch"),
    "lfs_put": ("PUT", r"/lfs/(?P<oid>\w+)"),
    "commit": ("POST", rf"{API}/commit/(?P<revision>[^/]+)"),
    "branch": ("POST", rf"{API}/branch/(?P<revision>[^/]+)"),
    "variables": ("GET", rf"{API}/variables"),
    "variable": ("POST", rf"{API}/variables"),
    "no_variable": ("DELETE", rf"{API}/variables"),
    "tree": ("GET", rf"{API}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"),
    "paths_info": ("POST", rf"{API}/paths-info/(?P<revision>[^/]+)"),
    "info": ("GET", rf"{API}(?:/revision/(?P<revision>[^/]+))?"),
    "resolve": ("GET", rf"{FILES}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
}


@dataclass
class Repository:
    """Snapshots of files by commit, and what it was created with."""

    options: dict
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    heads: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    messages: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return self.heads["main"]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def at(self, revision: str | None) -> tuple[str, dict[str, bytes]] | None:
        sha = self.heads.get(revision or "main", revision)
        return (sha, self.commits[sha]) if sha in self.commits else None


@dataclass
class Hub:
    """What the server holds, counts and breaks.

    Args:
        large: Files from this size on go through LFS.
        broken: Names of `ROUTES` whose connection is cut; with a number, after so many good answers.
    """

    url: str = ""
    large: float = float("inf")
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: Counter = field(default_factory=Counter)
    broken: dict[str, int] = field(default_factory=dict)

    def model(self, name: str) -> Repository:
        return self.repositories["models", name]

    def environment(self, home, *, token: str | None = TOKEN) -> dict[str, str]:
        """Of a process that takes this server for the Hub; LFS instead of Xet, which would need another server."""
        environment = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
        environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return environment | ({"HF_TOKEN": token} if token else {})


class Handler(BaseHTTPRequestHandler):
    """One request; each method named in `ROUTES` returns what is sent as JSON, or sends by itself."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        pass

    def dispatch(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        verb, path = "GET" if self.command == "HEAD" else self.command, unquote(urlsplit(self.path).path)
        for name, (expected, pattern) in ROUTES.items():
            match = re.fullmatch(pattern, path)
            if match and verb == expected:
                self.hub.requests[name] += 1
                if name in self.hub.broken and self.hub.requests[name] > self.hub.broken[name]:
                    self.close_connection = True
                    return
                getattr(self, name)(**match.groupdict())
                return
        self.error(404, "EntryNotFound")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = dispatch  # noqa: N815

    def send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def answer(self, content: dict | list, status: int = 200) -> None:
        self.send(json.dumps(content).encode(), status, Content_Type="application/json")

    def error(self, status: int, code: str) -> None:
        self.send(json.dumps({"error": code}).encode(), status, X_Error_Code=code, X_Error_Message=code)

    def authorized(self) -> bool:
        good = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if not good:
            self.answer({"error": "Invalid username or password."}, 401)
        return good

    def repository(self, kind: str | None, id: str) -> Repository | None:
        found = self.hub.repositories.get((kind or "models", id))
        if found is None:
            self.error(404, "RepoNotFound")
        return found

    def whoami(self) -> None:
        if self.authorized():
            self.answer({"type": "user", "name": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    def create(self) -> None:
        if self.authorized():
            options = json.loads(self.body)
            kind = f"{options.get('type') or 'model'}s"
            id = f"{options.get('organization') or 'user'}/{options['name']}"
            exists = (kind, id) in self.hub.repositories
            self.hub.repositories.setdefault((kind, id), Repository(options))
            prefix = "" if kind == "models" else f"{kind}/"
            self.answer({"url": f"{self.hub.url}/{prefix}{id}", "id": id}, 409 if exists else 200)

    def validate(self) -> None:
        """Front matter must be there; the real Hub checks its values, too."""
        front_matter = json.loads(self.body)["content"].split("---")[1]
        errors = [] if ":" in front_matter else [{"message": "empty front matter"}]
        self.answer({"errors": errors, "warnings": []}, 400 if errors else 200)

    def preupload(self, kind: str, id: str, revision: str) -> None:
        if self.authorized() and self.repository(kind, id):
            files = json.loads(self.body)["files"]
            large = [entry["size"] >= self.hub.large or entry["path"].endswith(".parquet") for entry in files]
            modes = ["lfs" if yes else "regular" for yes in large]
            pairs = zip(files, modes, strict=True)
            self.answer({"files": [{"path": f["path"], "uploadMode": m, "shouldIgnore": False} for f, m in pairs]})

    def lfs_batch(self, kind: str | None, id: str) -> None:
        if self.authorized():
            entries = json.loads(self.body)["objects"]
            for entry in entries:
                if entry["oid"] not in self.hub.objects:  # what arrived once need not be sent again
                    entry["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{entry['oid']}"}}
            self.answer({"transfer": "basic", "objects": entries})

    def lfs_put(self, oid: str) -> None:
        self.hub.objects[oid] = self.body
        self.answer({})

    def commit(self, kind: str, id: str, revision: str) -> None:
        repository = self.authorized() and self.repository(kind, id)
        if not repository:
            return
        if revision not in repository.heads:
            self.error(404, "RevisionNotFound")
            return
        files = dict(repository.commits[repository.heads[revision]])
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                repository.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = hashlib.sha1(f"{len(repository.commits)} {id}".encode()).hexdigest()
        repository.commits[sha] = files
        repository.heads[revision] = sha
        self.answer({"commitUrl": f"{self.hub.url}/{id}/commit/{sha}", "commitOid": sha, "success": True})

    def branch(self, kind: str, id: str, revision: str) -> None:
        if self.authorized() and (repository := self.repository(kind, id)):
            exists = revision in repository.heads
            repository.heads.setdefault(revision, repository.head)
            self.answer({}, 409 if exists else 200)

    def variables(self, kind: str, id: str) -> None:
        if self.authorized() and (repository := self.repository(kind, id)):
            self.answer({key: {"value": value} for key, value in repository.variables.items()})

    def variable(self, kind: str, id: str) -> None:
        if self.authorized() and (repository := self.repository(kind, id)):
            variable = json.loads(self.body)
            repository.variables[variable["key"]] = variable["value"]
            self.answer({})

    def no_variable(self, kind: str, id: str) -> None:
        if self.authorized() and (repository := self.repository(kind, id)):
            if repository.variables.pop(json.loads(self.body)["key"], None) is None:
                self.error(404, "EntryNotFound")
            else:
                self.answer({})

    def snapshot(self, kind: str | None, id: str, revision: str | None) -> tuple[str, dict[str, bytes]] | None:
        repository = self.repository(kind, id)
        if repository is None:
            return None
        found = repository.at(revision)
        if found is None:
            self.error(404, "RevisionNotFound")
        return found

    def info(self, kind: str, id: str, revision: str | None) -> None:
        if found := self.snapshot(kind, id, revision):
            sha, files = found
            self.answer(
                {"id": id, "modelId": id, "sha": sha, "private": False, "tags": [], "downloads": 0, "likes": 0}
                | {"siblings": [{"rfilename": path} for path in sorted(files)]}
            )

    def tree(self, kind: str, id: str, revision: str, path: str | None) -> None:
        if found := self.snapshot(kind, id, revision):
            listed = list(entries(found[1], path or "", recursive="recursive=true" in self.path.lower()))
            if path and not listed:
                self.error(404, "EntryNotFound")
            else:
                self.answer(listed)

    def paths_info(self, kind: str, id: str, revision: str) -> None:
        if found := self.snapshot(kind, id, revision):
            content = self.body.decode()
            wanted = json.loads(content)["paths"] if content.startswith("{") else re.findall(r"paths=([^&]+)", content)
            wanted = {unquote(path) for path in wanted}
            self.answer([entry for entry in entries(found[1], "", recursive=True) if entry["path"] in wanted])

    def resolve(self, kind: str | None, id: str, revision: str, path: str) -> None:
        found = self.snapshot(kind, id, revision)
        if found is None:
            return
        sha, files = found
        if path not in files:
            self.error(404, "EntryNotFound")
            return
        content, headers = files[path], {"X_Repo_Commit": sha, "ETag": f'"{hashlib.sha1(files[path]).hexdigest()}"'}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if span:
            first, last = int(span[1]), min(int(span[2] or len(content) - 1), len(content) - 1)
            headers["Content_Range"] = f"bytes {first}-{last}/{len(content)}"
            self.send(content[first : last + 1], 206, **headers)
        else:
            self.send(content, **headers)


def entries(files: dict[str, bytes], folder: str, *, recursive: bool) -> Iterator[dict]:
    """Files and folders below `folder`, as the Hub lists them."""
    prefix = f"{folder}/" if folder else ""
    folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
    for path in sorted([*files, *folders]):
        if path.startswith(prefix) and (recursive or "/" not in path[len(prefix) :]):
            content = files.get(path, b"")
            kind = "file" if path in files else "directory"
            yield {"type": kind, "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def take_for_the_hub(monkeypatch, endpoint: str, token: str = TOKEN) -> None:
    """Make the clients in this process talk to another server; see `Hub.environment` for other processes."""
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", endpoint)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", endpoint)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", token)


@contextmanager
def serve() -> Iterator[Hub]:
    """A running server for the length of a block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
