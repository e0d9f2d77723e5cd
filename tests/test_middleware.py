"""The middleware: who may call this page, how much at once, and what is deleted afterwards."""

import asyncio
import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from playground.keyring import Keyring
from playground.limits import LOCAL, PUBLIC
from playground.services import Services
from playground.visitors import VISITOR
from ui.middleware import (
    Doors,
    Hosts,
    UploadFolder,
    clean_root_path,
    upload_folder,
    visits,
    with_middleware,
)
from ui.middleware.events import READ_TIMEOUT
from ui.middleware.log import LogThrottle, OncePerMinute, QuietErrors, QuietFormatter
from ui.middleware.visits import Visits

HERE = "http://127.0.0.1:7860"
COMPARE = Doors(("compare",))
PREDICT = f"{HERE}/gradio_api/run/predict"
UPLOAD = f"{HERE}/gradio_api/upload"
EVENT = {"fn_index": 0, "data": [], "session_hash": "abc"}


class Page:
    """Stands for Gradio behind the middleware: reads every body, and records what reached it."""

    def __init__(
        self,
        limits: Any = LOCAL,
        hosts: Hosts | None = None,
        path: Path = Path("."),
        root_path: str = "",
    ) -> None:
        self.reached: list[tuple[str, bytes]] = []
        self.visitors: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.holder = SimpleNamespace(
            session_data={}, time_last_used={}, delete_state=lambda session: None
        )
        self.services = Services(limits)
        self.visits = Visits(limits, self.holder)
        self.files = UploadFolder(path, limits.upload_bytes)
        self.answer: Callable[[Any, Any, Any], Awaitable[None]] = self._answer
        self.app = with_middleware(
            lambda *call: self.answer(*call), self.services, hosts or Hosts.of("127.0.0.1"),
            self.visits, self.files, root_path=root_path,
        )  # fmt: skip

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.reached.append((scope["path"], body))
        self.visitors.append(VISITOR.get())
        self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    async def ask(self, method: str, url: str, **how: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(how.pop("client", "127.0.0.1"), 1))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, url, **how)

    async def post(self, path: str, *body: bytes, kind: str, query: str = "") -> tuple[int, Any]:
        """What a request is answered whose body comes in these parts, or never if there are none;
        and its scope as it is afterwards. Nobody hangs up."""
        parts = [{"body": part, "more_body": part is not body[-1]} for part in body]
        sent: list[Any] = []

        async def receive() -> Any:
            if not parts:
                await asyncio.Event().wait()
            return {"type": "http.request", **parts.pop(0)}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": path, "client": ("::1", 1),
            "headers": [(b"host", b"localhost"), (b"content-type", kind.encode())],
            "query_string": query.encode(),
        }  # fmt: skip
        async with asyncio.timeout(20):
            await self.app(scope, receive, send)
        return sent[0]["status"], scope


# ── By which name, and from where ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("listening", "allowed", "host", "answers"),
    [
        ("127.0.0.1", [], "127.0.0.1:7860", True),
        ("127.0.0.1", [], "localhost:9000", True),  # a forwarded port
        ("127.0.0.1", [], "LOCALHOST", True),
        ("127.0.0.1", [], "[::1]:7860", True),
        ("127.0.0.1", [], "localhost.:7860", False),
        ("127.0.0.1", [], "foo.localhost:7860", False),
        ("127.0.0.1", [], "rebind.example:7860", False),
        ("127.0.0.1", [], "192.168.1.5:7860", False),
        ("127.0.0.1", [], "127.0.0.1.evil.example", False),
        ("127.0.0.1", [], "evil.example@127.0.0.1", False),
        ("127.0.0.1", [], "", False),
        ("127.0.0.1", ["me-7860.app.github.dev"], "me-7860.app.github.dev", True),
        ("127.0.0.1", ["me-7860.app.github.dev"], "other-7860.app.github.dev", False),
        ("192.168.1.5", [], "192.168.1.5:7860", True),
        ("192.168.1.5", [], "192.168.1.6:7860", False),
        ("class.example", [], "class.example", True),
        ("::1", [], "[::1]", True),
        ("0.0.0.0", [], "192.168.1.5:7860", True),
        ("0.0.0.0", [], "[fe80::1]:7860", True),
        ("::", [], "10.0.0.7", True),
        ("0.0.0.0", [], "rebind.example", False),
    ],
)
async def test_a_local_page_answers_to_its_own_names(
    listening: str, allowed: list[str], host: str, answers: bool
) -> None:
    page = Page(hosts=Hosts.of(listening, allowed))
    for path in ("/", "/config", "/nothing"):
        found = await page.ask("GET", HERE + path, headers={"host": host})
        assert (found.status_code != 403) is answers
    assert bool(page.reached) is answers


def test_a_computer_is_called_by_its_own_name_in_its_own_network(monkeypatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Teacher")
    hosts = Hosts.of("0.0.0.0")
    assert {"teacher", "teacher.local"} <= (hosts.names or set())
    assert "teacher" not in (Hosts.of("127.0.0.1").names or set())


@pytest.mark.parametrize("name", ["https://me.example", "me.example/", "*.example", "", "a b"])
def test_what_is_no_name_is_said(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a host"):
        Hosts.of("127.0.0.1", [name])


async def test_two_hosts_are_none() -> None:
    page = Page()
    found = await page.ask("GET", HERE, headers=[("host", "127.0.0.1"), ("host", "evil.example")])
    assert found.status_code == 403


async def test_a_public_page_answers_to_every_name_but_to_no_other_website() -> None:
    page = Page(PUBLIC, Hosts.of("0.0.0.0", public=True))
    for host, origin, status in (
        ("phi.example", None, 200),
        ("phi.example", "https://phi.example", 200),
        ("phi.example", "https://evil.example", 403),
        ("phi.example", "https://phi.example.evil.example", 403),
    ):
        headers = {"host": host} | ({"origin": origin} if origin else {})
        found = await page.ask("GET", f"{HERE}/config", headers=headers)
        assert found.status_code == status


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "http://127.0.0.1:7918"},
    {"origin": "http://localhost:7860"},
    {"origin": "https://127.0.0.1:7860/"},
    {"origin": "file://"},
    {"origin": "null"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/config"),
        ("GET", "/gradio_api/heartbeat/abc"),
        ("GET", "/gradio_api/queue/data?session_hash=abc"),
        ("GET", "/assets/index.js"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/upload"),
        ("OPTIONS", "/gradio_api/run/predict"),
    ],
)
async def test_another_website_gets_nothing(method: str, path: str, headers: dict) -> None:
    page = Page()
    found = await page.ask(method, HERE + path, headers=headers, json=EVENT)
    assert found.status_code == 403 and "access-control-allow-origin" not in found.headers
    assert page.reached == []


async def test_a_link_from_another_website_opens_the_page_and_does_nothing_else() -> None:
    page = Page()
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert (await page.ask("GET", f"{HERE}/?prompt=Hi", headers=link)).status_code == 200
    for method, path in (("POST", "/"), ("GET", "/config"), ("GET", "/gradio_api/upload")):
        assert (await page.ask(method, HERE + path, headers=link)).status_code == 403
    own = {"origin": HERE, "sec-fetch-site": "same-origin"}
    assert (await page.ask("POST", PREDICT, headers=own, json=EVENT)).status_code == 200


async def test_the_origin_of_a_named_proxy_is_this_page(monkeypatch) -> None:
    name = "me-7860.app.github.dev"
    headers = {"origin": f"https://{name}", "x-forwarded-host": name}
    page = Page(hosts=Hosts.of("127.0.0.1", [name]))
    assert (await page.ask("POST", PREDICT, headers=headers, json=EVENT)).status_code == 200
    assert page.headers[-1]["x-forwarded-host"] == name
    assert (await Page().ask("POST", PREDICT, headers=headers, json=EVENT)).status_code == 403
    monkeypatch.setenv("SPACE_HOST", "me-phi.hf.space")
    page = Page(PUBLIC, Hosts.of("0.0.0.0", public=True))
    headers = {"origin": "https://me-phi.hf.space", "host": "10.1.2.3:7860"}
    assert (await page.ask("POST", PREDICT, headers=headers, json=EVENT)).status_code == 200


async def test_a_stranger_does_not_say_what_this_page_is_called() -> None:
    page = Page(PUBLIC, Hosts.of("0.0.0.0", public=True))
    await page.ask("GET", f"{HERE}/config", headers={"x-forwarded-host": "evil.example"})
    assert "x-forwarded-host" not in page.headers[-1]


async def test_a_visitor_is_known_by_the_platforms_word_and_only_there(monkeypatch) -> None:
    headers = {"x-forwarded-for": "6.6.6.6, 93.184.216.34"}
    page = Page()
    await page.ask("GET", HERE, headers=headers, client="8.8.8.8")
    assert page.visitors == ["8.8.8.8"]
    monkeypatch.setenv("SPACE_ID", "me/phi")
    page = Page()
    await page.ask("GET", HERE, headers=headers, client="10.0.0.1")
    assert page.visitors == ["93.184.216.34"]
    assert VISITOR.get() == ""


# ── Which addresses there are, and what every answer carries ───────────────────────────────────

CLOSED = (
    "/gradio_api/file=http://elsewhere.example/p.png",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/upload_progress?upload_id=kept",
    "/gradio_api/deep_link?session_hash=abc",
    "/gradio_api/info",
    "/gradio_api/openapi.json",
    "/gradio_api/runs",
    "/gradio_api/call/v2/ask",
    "/gradio_api/call/ask",
    "/gradio_api/mcp/",
    "/gradio_api/proxy=http://127.0.0.1/",
    "/gradio_api/vibe-code",
    "/monitoring",
    "/pwa_icon/999999",
    "/docs",
    "/login_check",
    "/gradio_api/token",
)


@pytest.mark.parametrize("path", CLOSED)
async def test_what_the_page_does_not_use_is_not_there(path: str) -> None:
    page = Page()
    assert (await page.ask("GET", HERE + path)).status_code == 404 and page.reached == []


async def test_every_answer_has_its_headers_refusals_and_failures_too(caplog) -> None:
    page = Page()

    async def falls(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    answers = [await page.ask("GET", HERE), await page.ask("GET", f"{HERE}/nothing")]
    answers.append(await page.ask("GET", HERE, headers={"host": "evil.example"}))
    page.answer = falls
    answers.append(await page.ask("GET", HERE))
    assert [answer.status_code for answer in answers] == [200, 404, 403, 500]
    assert "not your fault" in answers[-1].text and "a request failed" in caplog.text
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "connect-src 'self'" in policy
        assert "form-action 'none'" in policy and "frame-ancestors 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"


def answering(kind: str, *pieces: bytes, status: int = 200) -> Callable[..., Awaitable[None]]:
    """Something behind the middleware that answers every request in these pieces."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for n, piece in enumerate(pieces, 1):
            more = n < len(pieces)
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    return answer


async def test_what_gradio_leaves_is_compressed_for_who_can_read_that() -> None:
    page, path = Page(), "/config"
    page.answer = answering("application/json", b"<p>all of it</p>" * 1000)
    packed = await page.ask("GET", HERE + path, headers={"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) < 1000 and len(packed.content) == 16_000
    plain = await page.ask("GET", HERE + path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.content == packed.content


async def test_events_pass_at_once_and_as_they_are() -> None:
    page, sent = Page(), list[Any]()
    pieces = [b"data: " + b"x" * 2000 + b"\n\n", b"data: end\n\n"]
    behind = answering("text/event-stream", *pieces)

    async def send(message: Any) -> None:
        sent.append(message.get("body"))

    async def answer(scope: Any, receive: Any, send_on: Any) -> None:
        async def watched(message: Any) -> None:
            await send_on(message)
            assert sent[-1] == message.get("body")  # before the next one is there

        await behind(scope, receive, watched)

    page.answer = answer
    headers = [(b"host", b"localhost"), (b"accept-encoding", b"gzip")]
    scope = {
        "type": "http", "method": "GET", "path": "/gradio_api/queue/data", "client": ("::1", 1),
        "headers": headers, "query_string": b"",
    }  # fmt: skip
    await page.app(scope, asyncio.Event().wait, send)
    assert sent == [None, *pieces]


@pytest.mark.parametrize(
    ("path", "status", "kept"),
    [
        ("/assets/index-Df3.js", 200, True),
        ("/assets/index-Df3.js", 404, False),
        ("/", 200, False),
        ("/static/img/logo.svg", 200, False),
    ],
)
async def test_what_has_its_content_in_its_name_is_kept(path: str, status: int, kept: bool) -> None:
    page = Page()
    page.answer = answering("text/javascript", b"1", status=status)
    found = await page.ask("GET", HERE + path)
    assert ("immutable" in found.headers.get("cache-control", "")) is kept


# ── Events: how large, how slow, and whose ─────────────────────────────────────────────────────


async def test_an_event_reaches_the_page_as_it_was_sent() -> None:
    page = Page(PUBLIC, Hosts.of("0.0.0.0", public=True))
    assert (await page.ask("POST", PREDICT, json=EVENT)).status_code == 200
    (reached,) = page.reached
    assert json.loads(reached[1]) == EVENT


async def test_a_body_is_bounded_whether_it_says_its_size_or_not() -> None:
    page = Page(PUBLIC, Hosts.of("0.0.0.0", public=True))
    bomb = json.dumps({**EVENT, "data": [{}] * 1_000_000}).encode()
    kind = {"content-type": "application/json"}
    assert (await page.ask("POST", PREDICT, content=bomb, headers=kind)).status_code == 413
    sent = 0

    async def pieces() -> AsyncGenerator[bytes, None]:
        nonlocal sent
        for start in range(0, len(bomb), 65_536):
            sent += 65_536
            yield bomb[start : start + 65_536]

    found = await page.ask("POST", PREDICT, content=pieces(), headers=kind)
    assert found.status_code == 413 and "2,000,000 bytes" in found.text and page.reached == []
    largest = {**EVENT, "data": ["x" * 1_900_000]}
    assert (await page.ask("POST", PREDICT, json=largest)).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"session_hash": 5}', "application/json", 400),
        (b'{"session_hash": "a/../b"}', "application/json", 400),
        (b'{"session_hash": "' + b"a" * 65 + b'"}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (json.dumps(EVENT).encode(), "text/plain", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
    ],
)
async def test_what_is_no_event_is_refused_in_words(content: bytes, kind: str, status: int) -> None:
    page = Page()
    found = await page.ask("POST", PREDICT, content=content, headers={"content-type": kind})
    assert found.status_code == status and found.text.endswith(".") and page.reached == []


async def test_what_ends_an_event_names_no_session_and_makes_none() -> None:
    page = Page(replace(PUBLIC, sessions_per_visitor=0), Hosts.of("0.0.0.0", public=True))
    for route in ("reset", "cancel"):
        found = await page.ask("POST", f"{HERE}/gradio_api/{route}", json={"event_id": "a"})
        assert found.status_code == 200
    assert len(page.reached) == 2


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr("ui.middleware.events.READ_TIMEOUT", 0.05)
    monkeypatch.setattr("ui.middleware.refusal.DRAIN_SECONDS", 0.05)
    assert READ_TIMEOUT > 1
    status, _ = await Page().post("/gradio_api/run/predict", kind="application/json")
    assert status == 408


async def test_a_refusal_of_what_has_come_whole_waits_for_nothing(monkeypatch) -> None:
    page = Page(replace(PUBLIC, sessions_per_visitor=0), Hosts.of("0.0.0.0", public=True))
    monkeypatch.setattr("ui.middleware.refusal.DRAIN_SECONDS", 1000.0)
    body = json.dumps(EVENT).encode()
    status, _ = await page.post("/gradio_api/run/predict", body, kind="application/json")
    assert status == 429


# ── Visits: sessions, and what is forgotten with them ──────────────────────────────────────────


def kept(page: Page, session: str, *more: Any) -> Keyring:
    """A session that holds a keyring with a key, and perhaps more, as Gradio keeps it."""
    keyring = Keyring()
    keyring.put("ollama", key="secret")
    values: dict[int, Any] = dict(enumerate([keyring, *more]))
    page.holder.session_data[session] = SimpleNamespace(state_data=values)
    return keyring


async def test_an_event_holds_so_many_values(monkeypatch) -> None:
    page = Page(PUBLIC, Hosts.of("0.0.0.0", public=True))
    for data in ([[]] * 600_000, [{"a": [1] * 30_000}], [{str(n): n for n in range(30_000)}]):
        found = await page.ask("POST", PREDICT, json={**EVENT, "data": data})
        assert found.status_code == 413 and "20,000 values" in found.text
    assert (await page.ask("POST", PREDICT, json={**EVENT, "data": [1] * 9_000})).status_code == 200


async def test_one_visitor_sends_so_many_events_at_once() -> None:
    page = Page(replace(PUBLIC, bodies=2), Hosts.of("0.0.0.0", public=True))
    slow = asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"{"
        await slow.wait()
        yield json.dumps(EVENT).encode()[1:]

    kind = {"content-type": "application/json"}
    waiting = [
        asyncio.create_task(page.ask("POST", PREDICT, content=pieces(), headers=kind))
        for _ in range(2)
    ]
    await asyncio.sleep(0.05)
    assert (await page.ask("POST", PREDICT, json=EVENT)).status_code == 429
    assert (await page.ask("POST", PREDICT, json=EVENT, client="9.9.9.9")).status_code == 200
    slow.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]
    assert (await page.ask("POST", PREDICT, json=EVENT)).status_code == 200


async def test_one_visitor_cannot_make_sessions_without_end() -> None:
    limits = replace(PUBLIC, sessions_per_visitor=5)
    page = Page(limits, Hosts.of("0.0.0.0", public=True))

    async def open_one(n: int, client: str = "8.8.8.8") -> int:
        event = {**EVENT, "session_hash": f"s{n}"}
        return (await page.ask("POST", PREDICT, json=event, client=client)).status_code

    assert [await open_one(n) for n in range(7)] == [200] * 5 + [429] * 2
    assert await open_one(0) == 200  # one that is there already
    assert await open_one(100, "9.9.9.9") == 200


async def test_all_together_cannot_either_and_open_pages_are_kept(monkeypatch) -> None:
    limits = replace(PUBLIC, sessions=4)
    page = Page(limits, Hosts.of("0.0.0.0", public=True))
    page.visits.opened("open", "1")
    for n in range(3):
        page.visits.admit(f"s{n}", str(n))
        page.holder.session_data[f"s{n}"] = SimpleNamespace(state_data={})
    found = await page.ask("POST", PREDICT, json=EVENT)
    assert found.status_code == 503 and "Too many people" in found.text
    found = await page.ask("GET", HERE)  # the page itself says so
    assert found.status_code == 503 and "Try again in a few minutes" in found.text
    monkeypatch.setattr(visits, "UNCONFIRMED_AFTER", -1.0)
    assert (await page.ask("POST", PREDICT, json=EVENT)).status_code == 200
    assert "s0" not in page.holder.session_data and "s1" in page.holder.session_data
    for n in range(3, 9):
        page.visits.admit(f"s{n}", str(n))
    page.visits.closed("open")
    page.visits.opened("open", "1")  # it was never dropped: its heartbeat counts on


async def test_a_session_that_never_had_a_page_goes_within_a_minute(monkeypatch) -> None:
    page = Page()
    await page.ask("POST", PREDICT, json=EVENT)
    kept(page, "abc")
    page.visits.sweep()
    assert "abc" in page.holder.session_data
    monkeypatch.setattr(visits, "UNCONFIRMED_AFTER", -1.0)
    page.visits.sweep()
    assert "abc" not in page.holder.session_data


async def test_what_runs_for_a_closed_page_is_stopped(monkeypatch) -> None:
    """Gradio goes on with a stream whose page was closed before it could be connected."""
    page, stopped = Page(), list[str]()
    page.visits.opened("abc", "")
    kept(page, "abc", SimpleNamespace(stop=lambda: stopped.append("run")))
    page.visits.sweep()
    page.visits.closed("abc")
    page.visits.sweep()
    assert stopped == []
    monkeypatch.setattr(visits, "CLOSED_AFTER", -1.0)
    page.visits.sweep()
    page.visits.sweep()
    assert stopped == ["run"]


async def test_typed_keys_are_forgotten_when_the_page_is_closed_and_not_before(monkeypatch) -> None:
    page, still = Page(), asyncio.Event()
    begun = asyncio.Event()

    async def beats(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await still.wait()

    keyring = kept(page, "abc")
    page.answer = beats
    heartbeat = asyncio.create_task(page.ask("GET", f"{HERE}/gradio_api/heartbeat/abc"))
    await begun.wait()
    monkeypatch.setattr(visits, "CLOSED_AFTER", -1.0)
    page.visits.sweep()
    assert keyring.connection("ollama") is not None
    heartbeat.cancel()
    await asyncio.gather(heartbeat, return_exceptions=True)
    monkeypatch.setattr(visits, "CLOSED_AFTER", 150.0)
    page.visits.sweep()
    assert keyring.connection("ollama") is not None  # a reload, a tunnel: it may come back
    monkeypatch.setattr(visits, "CLOSED_AFTER", -1.0)
    page.visits.sweep()
    assert keyring.connection("ollama") is None
    page.visits.admit("abc", "")  # its page is there after all, and a key is typed
    keyring.put("ollama", key="secret")
    page.visits.sweep()
    assert keyring.connection("ollama") is None
    assert "abc" in page.holder.session_data  # its conversation waits for an hour
    monkeypatch.setattr(visits, "SESSION_TTL", -1.0)
    page.visits.sweep()
    assert "abc" not in page.holder.session_data


FORM = {"content-type": 'multipart/form-data; boundary="mark"'}


def form_of(*files: bytes, name: str = '; filename="a.png"') -> dict[str, Any]:
    """An upload of these files, as a browser sends it."""
    head = f'--mark\r\nContent-Disposition: form-data; name="files"{name}\r\n\r\n'.encode()
    body = b"".join(head + file + b"\r\n" for file in files) + b"--mark--\r\n"
    return {"content": body, "headers": FORM}


# ── Uploads: neither the disk nor a minute ─────────────────────────────────────────────────────


async def test_a_visitor_sends_so_much_a_minute(tmp_path: Path, monkeypatch) -> None:
    limits = replace(PUBLIC, upload_bytes_per_minute=1000)
    page = Page(limits, Hosts.of("0.0.0.0", public=True), tmp_path)

    async def send(size: int, client: str = "8.8.8.8") -> httpx.Response:
        return await page.ask("POST", UPLOAD, **form_of(b"x" * size), client=client)

    assert [(await send(400)).status_code for _ in range(3)] == [200, 200, 429]
    assert (await send(400, "9.9.9.9")).status_code == 200
    late = await send(400)
    assert "Wait a minute" in late.text and late.headers["retry-after"] == "60"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert (await send(400)).status_code == 200


async def test_visitors_of_long_ago_are_forgotten(tmp_path: Path, monkeypatch) -> None:
    page = Page(replace(PUBLIC, upload_bytes=1000), Hosts.of("0.0.0.0", public=True), tmp_path)
    assert (await page.ask("POST", UPLOAD, **form_of(b"x"), client="8.8.8.8")).status_code == 200
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 601)
    full = await page.ask("POST", UPLOAD, **form_of(b"x" * 2000), client="8.8.8.8")
    assert full.status_code == 507
    assert (await page.ask("POST", UPLOAD, **form_of(b"x"), client="9.9.9.9")).status_code == 200


async def test_uploads_fill_no_more_than_their_room_even_if_they_hide_their_size(
    tmp_path: Path, monkeypatch
) -> None:
    page = Page(replace(PUBLIC, upload_bytes=1000), Hosts.of("0.0.0.0", public=True), tmp_path)

    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(100):
            yield b"x" * 100

    found = await page.ask("POST", UPLOAD, **form_of(b"x" * 2000))
    assert found.status_code == 507 and "no room for more files" in found.text
    found = await page.ask("POST", UPLOAD, content=pieces(), headers=FORM)
    assert found.status_code == 507 and page.reached == []
    page.files.sweep()  # what was counted never came to lie there
    assert (await page.ask("POST", UPLOAD, **form_of(b"x" * 700))).status_code == 200
    page.files.sweep()
    full = SimpleNamespace(free=upload_folder.MIN_FREE_DISK)
    monkeypatch.setattr("shutil.disk_usage", lambda path: full)
    assert (await page.ask("POST", UPLOAD, **form_of(b"x" * 100))).status_code == 507


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
async def test_an_upload_is_a_form_of_a_few_files(size: int) -> None:
    page = Page()

    async def status(form: dict[str, Any]) -> int:
        body = form["content"]

        async def pieces() -> AsyncGenerator[bytes, None]:
            for start in range(0, len(body), size):
                yield body[start : start + size]

        found = await page.ask("POST", UPLOAD, content=pieces(), headers=form["headers"])
        return found.status_code

    assert await status(form_of(b"one", b"two --mark two", b"")) == 200
    assert await status(form_of(*[b"x"] * 64)) == 200
    assert await status(form_of(*[b"x"] * 65)) == 400
    assert await status(form_of(b"kept in memory", name="")) == 400
    assert await status({"content": b"x", "headers": {"content-type": "text/plain"}}) == 415
    assert (
        await status({"content": b"x", "headers": {"content-type": "multipart/form-data"}}) == 415
    )


async def test_a_file_that_does_not_come_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr("ui.middleware.uploads.READ_TIMEOUT", 0.05)
    monkeypatch.setattr("ui.middleware.refusal.DRAIN_SECONDS", 0.05)
    status, scope = await Page().post(
        "/gradio_api/upload", kind=FORM["content-type"], query="upload_id=kept"
    )
    assert status == 408 and scope["query_string"] == b""


async def test_what_breaks_off_again_and_again_does_not_take_all_the_room(
    tmp_path: Path, monkeypatch
) -> None:
    page = Page(replace(PUBLIC, upload_bytes_per_minute=1000), Hosts.of("0.0.0.0", public=True))
    start = time.monotonic()
    states = []
    for minute in range(6):
        monkeypatch.setattr(time, "monotonic", lambda now=start + 61 * minute: now)
        states.append((await page.ask("POST", UPLOAD, **form_of(b"x" * 700))).status_code)
    assert states == [200, 200, 200, 429, 429, 429]


def test_a_folder_into_which_a_file_is_just_being_moved_stays(tmp_path: Path, monkeypatch) -> None:
    files = UploadFolder(tmp_path, 1000)
    (tmp_path / "new").mkdir()
    files.sweep()
    assert (tmp_path / "new").is_dir()
    monkeypatch.setattr(upload_folder, "UNCLAIMED_TTL", -1.0)
    files.sweep()
    assert not (tmp_path / "new").exists()


async def test_a_sweep_that_fails_is_not_the_last(tmp_path: Path, monkeypatch) -> None:
    from ui import middleware as module

    monkeypatch.setattr(module, "SWEEP_INTERVAL", 0.01)
    swept, often, loop = [], asyncio.Event(), asyncio.get_running_loop()

    class Broken:
        def sweep(self) -> None:
            swept.append(1)
            if len(swept) == 3:
                loop.call_soon_threadsafe(often.set)
            raise ZeroDivisionError

    app = SimpleNamespace(middleware_stack=None, state_holder=Page().holder)
    async with module.lifespan(Services(), Hosts(), Broken())(app), asyncio.timeout(20):  # type: ignore[arg-type]
        await often.wait()


def test_files_that_nobody_claims_go_within_a_minute(tmp_path: Path) -> None:
    old = time.time() - upload_folder.UNCLAIMED_TTL - 1
    claimed, unclaimed, coming = (
        tmp_path / "a" / "claimed.png", tmp_path / "b" / "unclaimed.png", tmp_path / "tmpcoming"
    )  # fmt: skip
    for path in (claimed, unclaimed, coming):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 10)
        os.utime(path, (old, old))
    for path in (claimed.parent, unclaimed.parent):
        os.utime(path, (old, old))
    os.utime(claimed)
    files = UploadFolder(tmp_path, 100)
    files.sweep()
    assert claimed.exists() and coming.exists() and not unclaimed.parent.exists()
    assert files.has_room(80) and not files.has_room(81)
    # Just moved here by Gradio, after a long way over a slow line:
    late = tmp_path / "c" / "late.png"
    late.parent.mkdir()
    late.write_bytes(b"x")
    os.utime(late, (old, old))
    files.sweep()
    assert late.exists() and upload_folder.UNCLAIMED_TTL < 60
    very_old = time.time() - upload_folder.PARTIAL_TTL - 1
    os.utime(coming, (very_old, very_old))
    files.sweep()
    assert not coming.exists()


# ── The log of a public page ───────────────────────────────────────────────────────────────────


def fall(word: str) -> None:
    """Print a traceback as Gradio does, with a visitor's word in it."""
    try:
        try:
            raise KeyError(word)
        except KeyError as error:
            raise ValueError(f"Value: {word} is not in the list\nof {word} choices") from error
    except ValueError:
        traceback.print_exc()


def test_a_traceback_is_one_line_a_kind_and_minute_without_a_visitors_words(monkeypatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", QuietErrors(out, LogThrottle(60)))
    print("before", file=sys.stderr)
    threads = [threading.Thread(target=fall, args=("secret",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("after", file=sys.stderr)
    lines = out.getvalue().splitlines()
    assert "secret" not in out.getvalue() and "Traceback" not in out.getvalue()
    assert lines[0] == "before" and lines[-1] == "after"
    kinds = sorted(line.split(maxsplit=2)[2].split(" at ")[0] for line in lines[1:-1])
    assert kinds == ["KeyError", "ValueError"]
    assert all("test_middleware.py:" in line and "in fall" in line for line in lines[1:-1])


def test_what_was_passed_over_is_counted() -> None:
    minutes = LogThrottle(0.0)
    assert minutes.due("a") == 0
    minutes = LogThrottle(60.0)
    assert [minutes.due("a") for _ in range(3)] == [0, None, None]
    assert minutes.due("b") == 0


def test_a_group_of_exceptions_does_not_swallow_what_follows(monkeypatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", QuietErrors(out))
    try:
        raise ExceptionGroup("two", [ValueError("secret"), KeyError("secret")])
    except ExceptionGroup:
        traceback.print_exc()
    fall("secret")
    print("after", file=sys.stderr)
    assert "secret" not in out.getvalue() and out.getvalue().endswith("after\n")


def test_exceptions_of_threads_and_tasks_are_told_without_words_too(monkeypatch, capfd) -> None:
    import logging
    import subprocess

    code = """
import asyncio, sys, threading
from ui.middleware.log import use_short_log
use_short_log()
word = "sec" + "ret"
def fall(): raise ValueError(word)
thread = threading.Thread(target=fall); thread.start(); thread.join()
async def main():
    async def falls(): raise KeyError(word)
    task = asyncio.create_task(falls()); await asyncio.sleep(0.01); del task
asyncio.run(main())
print("fileno", sys.stderr.fileno(), sys.stderr.encoding, file=sys.stderr)
fall()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert "secret" not in done.stderr and "Traceback" not in done.stderr
    assert "a thread ended: ValueError" in done.stderr and "it ended: ValueError" in done.stderr
    assert "KeyError" in done.stderr and "fileno 2 utf-8" in done.stderr.lower()
    assert logging and done.returncode == 1


def test_another_failure_at_the_same_place_is_not_hidden() -> None:
    import logging

    once, logger = OncePerMinute(), logging.Logger("test")
    passed = []
    for error in (ValueError(), ValueError(), ZeroDivisionError()):
        told = (type(error), error, None)
        passed.append(once.filter(logger.makeRecord("a", 40, "f", 1, "it failed", (), told)))
    assert passed == [True, False, True]


def test_our_own_records_tell_where_but_not_what() -> None:
    import logging

    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(QuietFormatter("%(message)s"))
    handler.addFilter(OncePerMinute())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    for word in ["sec" + "ret"] * 5:
        try:
            raise ValueError(word)
        except ValueError:
            logger.exception("it failed")
    text = out.getvalue()
    assert text.count("it failed") == 1 and "secret" not in text
    assert "it failed: ValueError at test_middleware.py:" in text and text.count("\n") == 1


# ── Programs ───────────────────────────────────────────────────────────────────────────────────


async def test_who_calls_by_mcp_is_not_believed_where_it_comes_from(tmp_path: Path) -> None:
    served = programs(LOCAL, tmp_path, Doors(mcp=True))
    forged = {"X-Forwarded-For": "203.0.113.9"}
    url = "http://127.0.0.1/gradio_api/mcp/"
    found = await served.ask("POST", url, json={}, headers=forged, client="198.51.100.7")
    assert found.status_code == 200
    assert served.headers[-1]["x-forwarded-for"] == "198.51.100.7"
    large = b'{"x": "' + b"x" * LOCAL.body_bytes + b'"}'
    kind = {"content-type": "application/json"}
    assert (await served.ask("POST", url, content=large, headers=kind)).status_code == 413


async def test_a_call_is_a_session_until_it_was_read(tmp_path: Path, monkeypatch) -> None:
    served, url = programs(PUBLIC, tmp_path), "http://127.0.0.1/gradio_api/call/compare"
    served.answer = answering("application/json", b'{"event_', b'id": "ab12"}')
    for read in (True, False):
        kept(served, "ab12")
        assert (await served.ask("POST", url, json={"data": ["x"]})).status_code == 200
        served.visits.sweep()
        assert "ab12" in served.holder.session_data
        if read:
            assert (await served.ask("GET", f"{url}/ab12")).status_code == 200
        else:
            monkeypatch.setattr(visits, "UNCONFIRMED_AFTER", -1.0)
            served.visits.sweep()
        assert served.holder.session_data == {}


async def test_a_program_calls_so_often_in_a_minute(tmp_path: Path) -> None:
    served, url = programs(PUBLIC, tmp_path), "http://127.0.0.1/gradio_api/call/compare"
    served.answer = answering("application/json", b"{}")
    most = PUBLIC.calls_per_minute or 0
    asked = [await served.ask("POST", url, json={"data": []}) for _ in range(most + 1)]
    assert [one.status_code for one in asked] == [200] * most + [429]
    other = await served.ask("POST", url, json={"data": []}, client="198.51.100.7")
    assert other.status_code == 200


async def test_a_client_of_mcp_sends_so_many_messages_in_a_minute(tmp_path: Path) -> None:
    served = programs(PUBLIC, tmp_path, Doors(mcp=True))
    served.answer = answering("application/json", b"{}")
    most, url = PUBLIC.calls_per_minute or 0, "http://127.0.0.1/gradio_api/mcp/"

    async def send(path: str = "", client: str = "203.0.113.1") -> int:
        return (await served.ask("POST", url + path, json={}, client=client)).status_code

    assert [await send() for _ in range(most)] == [200] * most
    assert [await send(path) for path in ("", "http", "messages")] == [429] * 3
    assert await send(client="198.51.100.7") == 200
    listening = await served.ask("GET", url, client="203.0.113.1")
    assert listening.status_code == 200, "what it hears is no call"


def programs(limits: Any, path: Path, doors: Doors = COMPARE) -> Page:
    """A page with doors for programs."""
    hosts = Hosts.of("0.0.0.0", public=True) if limits.public else Hosts.of("127.0.0.1")
    served = Page(limits, hosts, path)
    served.app = with_middleware(
        lambda *call: served.answer(*call), Services(limits), hosts, served.visits, served.files,
        doors,
    )  # fmt: skip
    return served


async def test_a_call_names_a_proper_session_or_none(tmp_path: Path) -> None:
    served = programs(LOCAL, tmp_path)
    url = "http://127.0.0.1/gradio_api/call/v2/"
    assert (await served.ask("POST", f"{url}compare", json={"prompt": "x"})).status_code == 200
    assert (await served.ask("POST", f"{url}draw", json={})).status_code == 404
    told = {"prompt": "x", "session_hash": "/../"}
    assert (await served.ask("POST", f"{url}compare", json=told)).status_code == 400


async def test_health_is_told_by_phase_and_to_nobody_by_a_foreign_name() -> None:
    page = Page()
    for phase, status in (("starting", 503), ("ready", 200), ("stopping", 503)):
        page.services.phase = phase  # type: ignore[assignment]
        answer = await page.ask("GET", f"{HERE}/healthz")
        assert (answer.status_code, answer.json()) == (status, {"status": phase})
    assert (await page.ask("GET", "http://evil.example:7860/healthz")).status_code == 403
    assert not page.reached


@pytest.mark.parametrize("path", ["/", "/phi", "/phi/", "/phi/config", "/config"])
async def test_a_root_path_is_taken_off_or_was(path: str) -> None:
    page = Page(root_path="/phi")
    assert (await page.ask("GET", HERE + path)).status_code == 200
    assert page.reached == [(path.removeprefix("/phi") or "/", b"")]
    assert (await page.ask("GET", f"{HERE}/philosophy")).status_code == 404


def test_a_root_path_that_is_none_is_said() -> None:
    assert clean_root_path("/phi/") == clean_root_path(" /phi") == "/phi"
    assert clean_root_path("/") == clean_root_path("") == ""
    for wrong in ("phi", "/a b", "//evil.example", "https://evil.example", "/../x?y"):
        with pytest.raises(ValueError, match="looks like /phi"):
            clean_root_path(wrong)
