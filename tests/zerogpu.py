"""A ZeroGPU Space on this machine: the real `spaces` package, and what Hugging Face's side answers.

The package asks a service of the platform for a GPU, and then puts the weights on it. The service
is stood in for here, on loopback. The GPU is left out: `spaces` is imported while torch seems not
to be installed, its own way for programs without; queues, processes and errors are the package's.
"""

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from backends import pocket
from tests.real_server import lay_out

MODELS = Path(pocket.__file__).parent / "models"
LAID_OUT = {
    "microsoft/Phi-3-mini-128k-instruct": "pocket-3",
    "microsoft/Phi-3.5-mini-instruct": "pocket-3.5",
    "microsoft/Phi-3.5-vision-instruct": "pocket-vision",
}
"""The repositories that a ZeroGPU Space preloads, and which Pocket lies there."""


class DeviceApi:
    """The service that lends GPUs to a Space, as `spaces/zero/api.py` (0.51.3) asks it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Every request: its path and its parameters."""
        self.refusal: tuple[int, dict[str, object], str] | None = None
        """What it answers to `/schedule`: status, body, and how it was approved."""
        self.busy = False
        """Whether nobody gets a GPU, after some waiting."""
        self.reuses = True
        """Whether a process that has ended its call may be used for the next."""
        self._idle = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        serve = partial(self._server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def of(self, path: str) -> list[dict[str, str]]:
        """The parameters of the requests for a path, the first first."""
        return [params for asked, params in self.asked if asked == path]

    def pid(self) -> int:
        """The process that was given a GPU last."""
        return int(self.of("/allow")[-1]["pid"])

    def answer(self, path: str, params: dict[str, str]) -> tuple[int, str, str, dict[str, str]]:
        """Status, kind, body and headers of a response."""
        self.asked.append((path, params))
        if path == "/release":
            self._idle = self.reuses and params["fail"] == "false"
        if path != "/schedule":
            return 200, "application/json", "{}", {}
        if self.refusal:
            status, body, result = self.refusal
            return status, "application/json", json.dumps(body), {"X-Approve-Result": result}
        if self.busy:
            return 200, "text/event-stream", "event: failed\n\n", {"X-Queuing-Reason": "node"}
        lent = {"nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": f"t{len(self.asked)}"}
        return 200, "application/json", json.dumps({"idle": self._idle, **lent}), {}


def _handler(api: DeviceApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            params = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, kind, body, headers = api.answer(parts.path, params)
            self.send_response(status)
            for name, value in {"Content-Type": kind, **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def environment(api: str, folder: Path) -> dict[str, str]:
    """What is set on a ZeroGPU Space, with a Hub cache in which Pockets lie as the real models."""
    cache = folder / "hub"
    for repository, key in LAID_OUT.items():
        if not (cache / f"models--{repository.replace('/', '--')}").exists():
            lay_out(cache, repository, MODELS / key)
            # As it is preloaded by the number of a commit: no name leads there.
            (cache / f"models--{repository.replace('/', '--')}" / "refs" / "main").unlink()
    (folder / "cgroup").write_text("0::/space\n")
    return {
        "SYSTEM": "spaces",
        "SPACE_ID": "someone/phi-playground",
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": api,
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(folder / "cgroup"),
        "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
        "HOME": str(folder),
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # It says much of its own code.
        "PYTHONWARNINGS": "ignore",
    }


@contextmanager
def without_torch() -> Iterator[None]:
    """What is imported meanwhile believes that torch is not installed."""
    assert "torch" not in sys.modules
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]


def import_spaces() -> None:
    """Import `spaces` for a machine without a GPU."""
    assert os.environ["SPACES_ZERO_GPU"]
    with without_torch():
        import spaces  # noqa: F401


def end() -> None:
    """End this process, and those that were forked off it: they would wait for calls for ever."""
    for process in multiprocessing.active_children():
        process.kill()
    sys.stdout.flush()
    os._exit(0)
