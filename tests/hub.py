"""A small Hugging Face Hub on loopback: the endpoints that huggingface_hub 2.4 calls."""

import hashlib
import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40


class Hub:
    """Serves one repository, and those that are added. Its switches say what goes wrong."""

    def __init__(self, repo: str, files: dict[str, bytes]) -> None:
        self.repo = repo
        self.files = files
        self.others: dict[str, dict[str, bytes]] = {}
        """Files of further repositories, by name."""
        self.away: set[str] = set()
        """Repositories that it is out of order for."""
        self.asked: list[tuple[str, str | None]] = []
        """Every download, in order: the file and the range it was asked for."""
        self.status = 200
        """What it answers to everything."""
        self.break_at: int | None = None
        """Bytes of a file after which it hangs up, and is out of order from then on."""
        self.hold_at: int | None = None
        """Bytes of a file after which it sends no more, until `go_on` is set."""
        self.swapped: str | None = None
        """A file that comes as another one of the same size."""
        self.held, self.go_on = threading.Event(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        # Asked often whether it is to end: else each test waits half a second for it.
        serve = partial(self._server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    def repositories(self) -> dict[str, dict[str, bytes]]:
        return {self.repo: self.files, **self.others}

    def about(self, repo: str) -> dict:
        files = self.repositories()[repo]
        siblings = [{"rfilename": name, **_facts(name, data)} for name, data in files.items()]
        return {"id": repo, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}

    def tree(self, repo: str) -> list[dict]:
        return [
            {"type": "file", "path": name, "oid": facts["blobId"], **facts}
            for name, data in self.repositories()[repo].items()
            if (facts := _facts(name, data))
        ]


def _facts(name: str, data: bytes) -> dict:
    blob_id = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    facts = {"size": len(data), "blobId": blob_id}
    if name.endswith((".safetensors", ".onnx.data")):
        sha256 = hashlib.sha256(data).hexdigest()
        facts["lfs"] = {"sha256": sha256, "oid": sha256, "size": len(data), "pointerSize": 1}
    return facts


def etag(name: str, data: bytes) -> str:
    """What the Hub calls a file's content, and the cache its file."""
    facts = _facts(name, data)
    return facts["lfs"]["sha256"] if "lfs" in facts else facts["blobId"]


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = self.path.split("?")[0]
            repo = next((name for name in hub.repositories() if f"/{name}/" in f"{path}/"), "")
            if hub.status != 200 or repo in hub.away:
                self._send(503 if repo in hub.away else hub.status, b"{}", {})
            elif not repo:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            elif path in (f"/api/models/{repo}", f"/api/models/{repo}/revision/main"):
                self._send(200, json.dumps(hub.about(repo)).encode(), {})
            elif path == f"/api/models/{repo}/tree/{COMMIT}":
                self._send(200, json.dumps(hub.tree(repo)).encode(), {})
            elif path.startswith(f"/{repo}/resolve/"):
                _, name = path.removeprefix(f"/{repo}/resolve/").split("/", 1)
                files = hub.repositories()[repo]
                self._file(files, name, body) if name in files else self._send(404, b"{}", {})
            else:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _file(self, files: dict[str, bytes], name: str, body: bool) -> None:
            data, span = files[name], self.headers.get("Range")
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag(name, data)}"'}
            if name == hub.swapped:
                data = data[::-1]
            start = int(span.removeprefix("bytes=").split("-")[0]) if span else 0
            if span:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            if body:
                hub.asked.append((name, span))
            self._send(206 if span else 200, data[start:], headers, body)

        def _send(self, status: int, data: bytes, headers: dict, body: bool = True) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if not body:
                return
            if hub.hold_at is not None and len(data) > hub.hold_at:
                self.wfile.write(data[: hub.hold_at])
                self.wfile.flush()
                data = data[hub.hold_at :]
                hub.held.set()
                hub.go_on.wait()
            if hub.break_at is not None and len(data) > hub.break_at:
                self.wfile.write(data[: hub.break_at])
                self.wfile.flush()
                hub.status, hub.break_at = 503, None
                self.close_connection = True
                return
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
