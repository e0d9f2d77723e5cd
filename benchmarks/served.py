"""A page in a server process of its own: started, waited for, weighed and ended."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError

import psutil

ROOT = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
START_LIMIT = 120.0


class Served:
    """A server process, from its start to its end. JSON lines that it prints are collected."""

    def __init__(
        self,
        arguments: Sequence[str],
        port: int,
        folder: Path = ROOT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run Python with these arguments in a checkout; they make it listen on `port`.

        `environment` has variables on top of those of this process.
        """
        self.url = f"http://127.0.0.1:{port}/"
        self.said: list[dict[str, Any]] = []
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=ENVIRONMENT | dict(environment or {}),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> float:
        """Wait for the first HTTP 200; returns the seconds since the start."""
        while (passed := time.perf_counter() - self.started) < START_LIMIT:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}")
            try:
                with urllib.request.urlopen(self.url, timeout=START_LIMIT) as response:
                    if response.status == 200:
                        return time.perf_counter() - self.started
            except (URLError, ConnectionError):
                time.sleep(0.01)
        raise TimeoutError(f"no answer within {passed:.0f} s")

    def cpu(self, *, alone: bool = True) -> float:
        """Seconds of processor time that the process has taken so far, with its children's or not.

        Those of children that have ended are not in it.
        """
        process = psutil.Process(self._process.pid)
        others = [] if alone else process.children(recursive=True)
        every = [one.cpu_times() for one in (process, *others)]
        return sum(times.user + times.system for times in every)

    def memory(self, *, alone: bool = False) -> float:
        """Megabytes of memory that the process holds, and its children unless `alone`.

        Where the system tells them apart, without files that are only mapped: it drops and reads
        those as it pleases.
        """
        process = psutil.Process(self._process.pid)
        others = [] if alone else process.children(recursive=True)
        infos = [one.memory_info() for one in (process, *others)]
        return sum(info.rss - getattr(info, "shared", 0) for info in infos) / 1e6

    def due(self, end: str) -> dict[str, dict[str, Any]]:
        """When the answers that end in this word were due, by side."""
        return {row["side"].removeprefix("paced-"): row for row in self.said if row["end"] == end}

    def _read(self) -> None:
        for line in self._process.stdout or ():
            if line.startswith("{"):
                self.said.append(json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)


def free_port() -> int:
    """A port of this computer that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
