"""A Hugging Face Hub on localhost: real HTTP, as much of the API as uploading and loading a dataset or model needs."""

import hashlib
import json
import os
import re
import threading
from base64 import b64decode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

PATH = r"(?:/api/models|(?:/api)?/datasets|(?!/api))/(\w+/[\w-]+?)(?:\.git)?"  # a model's pages have no /models
PATH += r"(?:/(info/lfs/objects/batch|\w[\w-]*)(?:/([^/]+))?(?:/(.*))?)?"
TOKEN = "hf_" + "localhost" * 4


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.branches: list[tuple[str, str]] = []
        self.blobs: dict[str, bytes] = {}  # LFS
        self.role = "write"
        self.requests: list[str] = []
        self.breaks_at: str | None = None  # how the path of a request ends that gets no reply


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *args):
        pass

    def reply(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": len(body)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self):
        hub, path = self.server, unquote(urlsplit(self.path).path)
        hub.requests.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if hub.breaks_at and path.endswith(hub.breaks_at):
            self.close_connection = True
            return None
        if path == "/api/whoami-v2":
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.reply({"error": "Invalid credentials"}, 401)
            return self.reply({"name": "me", "orgs": [], "auth": {"accessToken": {"role": hub.role}}})
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
            place = "datasets/" if asked.get("type") == "dataset" else ""
            status = 409 if repo in hub.repos else 200  # and its visibility stays as it is
            hub.private.setdefault(repo, asked.get("visibility") == "private")
            hub.repos.setdefault(repo, {})
            return self.reply({"url": f"{hub.url}/{place}{repo}", "name": repo}, status)
        if path == "/api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        if match := re.fullmatch(r"/lfs/(\w+)", path):
            hub.blobs[match[1]] = body
            return self.reply(b"")
        match = re.fullmatch(PATH, path)
        if not match or match[1] not in hub.repos:
            return self.reply({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        name, action, _, file = match.groups()
        return getattr(self, (action or "info").replace("/", "_").replace("-", "_"))(name, file, body)

    do_GET = do_POST = do_PUT = do_HEAD = handle_any

    def sha(self, name):
        return hashlib.sha1(repr(sorted(self.server.repos[name].items())).encode()).hexdigest()

    def info(self, name, file, body):
        files = [{"rfilename": path} for path in self.server.repos[name]]
        self.reply({"id": name, "sha": self.sha(name), "siblings": files, "private": self.server.private[name], "tags": []})

    revision = info

    def entries(self, name):
        for path, content in self.server.repos[name].items():
            yield {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def tree(self, name, file, body):
        inside = [e for e in self.entries(name) if not file or e["path"].startswith(file + "/")]
        if file and not inside:
            return self.reply({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        return self.reply(inside)

    def preupload(self, name, file, body):
        asked = json.loads(body)["files"]
        modes = [
            {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith((".parquet", ".safetensors")) else "regular"}
            for f in asked
        ]
        self.reply({"files": [mode | {"shouldIgnore": False, "oid": None} for mode in modes]})

    def info_lfs_objects_batch(self, name, file, body):
        objects = [
            {
                "oid": o["oid"],
                "size": o["size"],
                "actions": {"upload": {"href": f"{self.server.url}/lfs/{o['oid']}", "header": {}}},
            }
            for o in json.loads(body)["objects"]
        ]
        self.reply({"transfer": "basic", "objects": objects})

    def branch(self, name, file, body):
        self.server.branches.append((name, unquote(urlsplit(self.path).path).rpartition("/")[2]))
        self.reply({})

    def commit(self, name, file, body):
        files = self.server.repos[name]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        url = f"{self.server.url}/datasets/{name}/commit/{self.sha(name)}"
        self.reply({"success": True, "commitUrl": url, "commitOid": self.sha(name), "pullRequestUrl": None})

    def resolve(self, name, file, body):
        content = self.server.repos[name].get(file)
        if content is None:
            return self.reply({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X_Repo_Commit": self.sha(name),
            "Accept_Ranges": "bytes",
        }
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(match[1]), int(match[2] or len(content) - 1)
            headers["Content_Range"] = f"bytes {first}-{last}/{len(content)}"
            return self.reply(content[first : last + 1], 206, **headers)
        return self.reply(content, **headers)


@contextmanager
def local_hub():
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A local Hub, with this process set up and logged in to use it; `hub.env` is the environment that sets up another one."""
    with local_hub() as hub:
        offline = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home")}
        hub.env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | offline
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        hub.set = monkeypatch.setenv
        hub.go_to = lambda url: monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        yield hub
