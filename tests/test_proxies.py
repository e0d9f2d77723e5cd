"""The page behind real proxies, with the very lines of docs/serving.md."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, expect

from tests.pages import Visitor, answer_of, free_port
from tests.real_server import BUSY, wait_until_up

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "serving.md").read_text("utf-8")
POCKETS = "?a=pocket/pocket-3&b=pocket/pocket-3.5"


def block(language: str) -> str:
    """The guide's lines for a program."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return found


@contextmanager
def running(command: Sequence[str], address: str, log: Path, **variables: str) -> Iterator[None]:
    """A process, once it answers."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"} | variables,
        )  # fmt: skip
    try:
        wait_until_up(address, process, log)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def page(folder: Path, *arguments: str, **variables: str) -> Iterator[int]:
    """A page in a process of its own, behind a proxy on this machine; gives its port."""
    port = free_port()
    command = [sys.executable, "app.py", "--port", str(port), "--no-browser"]
    command += ["--behind-proxy", "127.0.0.1", *arguments]
    with running(command, f"http://127.0.0.1:{port}/healthz", folder / f"{port}.log", **variables):
        yield port


def nginx(folder: Path, port: int, to: int) -> list[str]:
    """The command that starts nginx with the guide's lines, everything of it in a folder."""
    lines = block("nginx").replace("listen 8080", f"listen 127.0.0.1:{port}")
    lines = lines.replace("127.0.0.1:7860", f"127.0.0.1:{to}")
    paths = " ".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = folder / "nginx.conf"
    conf.write_text(
        f"daemon off; error_log stderr; pid {folder}/pid;"
        f"events {{}} http {{ access_log off; {paths} {lines} }}"
    )
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(conf)]


def caddy(folder: Path, port: int, *to: int) -> list[str]:
    """The command that starts Caddy with the guide's lines."""
    lines = block("caddyfile").replace(":8080", f"http://127.0.0.1:{port}")
    lines = lines.replace("127.0.0.1:7861 127.0.0.1:7862", " ".join(f"127.0.0.1:{n}" for n in to))
    conf = folder / "Caddyfile"
    conf.write_text(f"{{\n\tadmin off\n\tgrace_period 1s\n}}\n{lines}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(conf)]


@pytest.mark.skipif(
    not shutil.which("nginx"), reason="nginx is not installed: apt install nginx-light"
)
async def test_below_a_path_behind_nginx_for_strangers(browser: Browser, tmp_path: Path) -> None:
    with ExitStack() as stack:
        here = stack.enter_context(page(tmp_path, "--public", "--root-path", "/phi", "--json-log"))
        port = free_port()
        front = f"http://127.0.0.1:{port}"
        command = nginx(tmp_path, port, here)
        stack.enter_context(running(command, f"{front}/phi/healthz", tmp_path / "nginx.log"))
        context = await browser.new_context()
        context.set_default_timeout(BUSY * 1000)
        failed: list[str] = []
        tab = await context.new_page()
        tab.on("response", lambda got: got.ok or failed.append(f"{got.status} {got.url}"))
        visitor = await Visitor(tab, f"{front}/phi").open(POCKETS)
        await visitor.page.wait_for_selector("#text-state-b [data-state=ready]")
        await visitor.ask("What is a small language model?")
        for side in ("a", "b"):
            await visitor.sees(answer_of(side), "language model")
        await visitor.finished()
        assert visitor.page.url.startswith(f"{front}/phi/")
        await visitor.page.reload()
        await visitor.sees("#text-transcript .turns", "What is a small language model?")
        assert not failed and not visitor.faults
        await context.close()


@pytest.mark.skipif(
    not shutil.which("nginx"), reason="nginx is not installed: apt install nginx-light"
)
@pytest.mark.parametrize("trusted", [True, False])
async def test_only_the_named_proxy_says_who_a_visitor_is(tmp_path: Path, trusted: bool) -> None:
    """A hundred sessions of one address are the most; the next one is told so."""
    from playground.limits import PUBLIC

    most = PUBLIC.sessions_per_visitor
    assert most
    port = free_port()
    front = f"http://127.0.0.1:{port}"
    command = [sys.executable, "app.py", "--port", str(port), "--no-browser", "--public"]
    command += ["--behind-proxy", "127.0.0.1" if trusted else "10.1.2.3"]
    with running(command, f"{front}/healthz", tmp_path / "log"):
        async with httpx.AsyncClient(base_url=front, timeout=BUSY) as client:
            last = 200
            for number in range(most + 1):
                told = {"x-forwarded-for": f"203.0.113.{number}"}
                event = {"fn_index": 9999, "data": [], "session_hash": f"s{number}"}
                answer = await client.post("/gradio_api/run/predict", json=event, headers=told)
                last = answer.status_code
            assert (last == 429) is not trusted


@pytest.mark.skipif(not shutil.which("caddy"), reason="apt install caddy")
async def test_two_processes_behind_caddy_keep_their_visitors(
    browser: Browser, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        home = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
        ports = [
            stack.enter_context(page(tmp_path, "--root-path", "/phi", "--json-log"))
            for _ in range(2)
        ]
        port = free_port()
        front = f"http://127.0.0.1:{port}"
        command = caddy(tmp_path, port, *ports)
        stack.enter_context(
            running(command, f"{front}/phi/healthz", tmp_path / "caddy.log", **home)
        )
        values: set[str] = set()
        async with httpx.AsyncClient(base_url=front, timeout=BUSY) as client:
            while len(values) < 2:  # a newcomer's process is drawn by lot
                client.cookies.clear()
                values.add((await client.get("/phi/healthz")).cookies["phi_process"])
        contexts: list[BrowserContext] = []
        visitors: list[Visitor] = []
        for value in (*values, *values):
            context = await browser.new_context()
            context.set_default_timeout(BUSY * 1000)
            await context.add_cookies([{"name": "phi_process", "value": value, "url": front}])
            visitor = await Visitor(await context.new_page(), f"{front}/phi").open(POCKETS)
            await visitor.page.wait_for_selector("#text-state-b [data-state=ready]")
            contexts.append(context)
            visitors.append(visitor)
        for turn in range(2):
            await asyncio.gather(*(one.ask("What is a small language model?") for one in visitors))
            for visitor in visitors:
                rows = visitor.page.locator("#text-transcript .turn")
                await expect(rows).to_have_count(turn + 1, timeout=BUSY * 1000)
                for side in ("a", "b"):
                    words = visitor.page.locator(answer_of(side))
                    await expect(words).not_to_be_empty(timeout=BUSY * 1000)
                await visitor.finished()
        # Each process made the answers of its own visitors: two of them, two turns, two sides.
        logs = [(tmp_path / f"{one}.log").read_text() for one in ports]
        assert [log.count('"phi.answers"') for log in logs] == [8, 8]
        for context in contexts:
            await context.close()
