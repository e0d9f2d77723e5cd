"""The command line: what it says, and what it says when it cannot start."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from playground.proxies import name_this_machine, no_proxies
from tests.pages import free_port
from tests.stub import Reply, Stub, delta, sse

ROOT = Path(__file__).parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "app.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_help_names_the_options() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--host", "--port", "--public", "7860"))


def test_a_port_in_use_is_said_in_a_sentence() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run("--port", str(port), "--no-browser")
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.engine
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "no:such:proxy"])
def test_it_starts_whatever_proxy_the_environment_names(tmp_path: Path, proxy: str) -> None:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    both = {one: proxy for name in names for one in (name, name.lower())}
    with started(tmp_path, NO_PROXY="", no_proxy="", **both) as (_, url):
        while (answer := httpx.get(f"{url}/healthz", timeout=60)).json()["status"] == "starting":
            time.sleep(0.1)
    assert answer.json() == {"status": "ready"}
    assert "Traceback" not in (tmp_path / "log").read_text()


PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://proxy.example"}, "localhost,127.0.0.1,::1"),
        (
            {"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": ".school.example"},
            ".school.example,localhost,127.0.0.1,::1",
        ),
    ],
)
def test_this_machine_is_named_where_a_proxy_is(
    monkeypatch: pytest.MonkeyPatch, named: dict[str, str], expected: str | None
) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    name_this_machine()
    assert {os.environ.get("NO_PROXY"), os.environ.get("no_proxy")} == {expected}


def test_proxies_are_hidden_for_a_while_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example")
    monkeypatch.setenv("NO_PROXY", ".school.example")
    monkeypatch.delenv("no_proxy", raising=False)
    before = dict(os.environ)
    with pytest.raises(ValueError, match="why"), no_proxies():
        assert urllib.request.proxy_bypass("microsoft.com")
        raise ValueError("why")
    assert dict(os.environ) == before
    assert not urllib.request.proxy_bypass("microsoft.com")


@contextmanager
def started(tmp_path: Path, *arguments: str, **environment: str) -> Iterator[tuple[Any, str]]:
    """The page in a process of its own, with its address; what it prints is in `log`."""
    port = free_port()
    environment = {
        **os.environ,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(tmp_path / "uploads"),
        **environment,
    }
    command = [sys.executable, "app.py", "--port", str(port), "--no-browser", *arguments]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                httpx.get(f"{url}/config", timeout=60)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield process, url
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def asked(url: str, stub: Stub) -> AsyncIterator[httpx.AsyncClient]:
    """An open page on which both sides of a comparison are answering, for ever."""
    never = asyncio.Event()
    words = sse(delta("And "), delta("so "), delta("on "), done=False)
    stub.on("/v1/models", Reply.of({"data": [{"id": "phi"}]}))
    stub.on("/v1/chat/completions", Reply((words, never)))
    async with httpx.AsyncClient(base_url=f"{url}/gradio_api/", timeout=60) as client:
        config = (await client.get(f"{url}/config")).json()
        pressed = {
            tuple(one): event for event in config["dependencies"] for one in event["targets"]
        }
        after = {event["trigger_after"]: event for event in config["dependencies"]}
        drawing = next(one for one in config["dependencies"] if one["api_name"] == "draw")
        parts = {part["id"]: part["props"] for part in config["components"]}
        chosen = {"text-prompt": "Go on", "text-model-a": "phi", "text-model-b": "phi"}
        chosen |= {f"text-backend-{side}": "openai_compatible" for side in ("a", "b")}

        compare = next(
            number for number, part in parts.items() if part.get("elem_id") == "text-compare"
        )

        def values(event: dict[str, Any]) -> list[Any]:
            inputs = [parts[number] for number in event["inputs"]]
            return [chosen.get(part.get("elem_id"), part.get("value")) for part in inputs]

        # The page itself gathers the form, into the one input of the event that follows.
        gathering = pressed[compare, "click"]
        asking = after[gathering["id"]]
        [form] = gathering["outputs"]

        def call(event: dict[str, Any]) -> dict[str, Any]:
            given = zip(event["inputs"], values(event), strict=True)
            data = [{"values": values(gathering)} if one == form else own for one, own in given]
            return {"fn_index": event["id"], "data": data, "session_hash": "somebody"}

        async with client.stream("GET", "heartbeat/somebody"):
            (await client.post("run/predict", json=call(asking))).raise_for_status()
            (await client.post("queue/join", json=call(drawing))).raise_for_status()
            await stub.until_open(2)
            yield client


@pytest.mark.engine
@pytest.mark.skipif(os.name != "posix", reason="signals are sent otherwise on Windows")
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_in_the_middle_of_answers_without_a_traceback(
    name: signal.Signals, tmp_path: Path, stub: Stub
) -> None:
    with started(tmp_path, OPENAI_COMPATIBLE_BASE_URL=f"{stub.url}/v1") as (process, url):
        async with asked(url, stub):
            assert len(list((tmp_path / "uploads").glob("phi-playground-*"))) == 1
            process.send_signal(name)
            assert await asyncio.to_thread(process.wait, 60) == 0
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log and log.rstrip().endswith("Phi Playground ends.")
    assert not list((tmp_path / "uploads").glob("phi-playground-*"))


@pytest.mark.engine
async def test_a_public_page_says_little_of_bad_requests(tmp_path: Path, stub: Stub) -> None:
    with started(tmp_path, "--public") as (_, url):
        async with httpx.AsyncClient(base_url=f"{url}/gradio_api/", timeout=60) as client:
            events = (await client.get(f"{url}/config")).json()["dependencies"]
            for number in [event["id"] for event in events[::4]] + [9_999]:
                for data in (["secret"], [{"path": "/secret"}] * 9, []):
                    body = {"fn_index": number, "data": data, "session_hash": "somebody"}
                    await client.post("run/predict", json=body)
            bomb = b'{"session_hash": "a", "data": [' + b"{}," * 1_000_000 + b"{}]}"
            kind = {"content-type": "application/json"}
            found = await client.post("run/predict", content=bomb, headers=kind)
            assert found.status_code == 413
            assert (await client.get("deep_link?session_hash=somebody")).status_code == 404
            assert (await client.get(f"{url}/config")).status_code == 200
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log and "secret" not in log
    lines = log.splitlines()[1:]
    assert len({line[20:] for line in lines}) == len(lines), "each kind once"
