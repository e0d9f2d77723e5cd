"""The page's document: what can be read and fetched before any script runs."""

import gzip
import re
from typing import Any
from urllib.parse import urljoin

import brotli
import httpx
import pytest
from playwright.async_api import BrowserContext

from tests.pages import Visitor
from ui.middleware.document import Document
from ui.shell import preferred_language

HTML = "<!doctype html><html><head><title>x</title></head><body style='a'><p>Hi</p></body></html>"


async def gradio(scope: Any, receive: Any, send: Any) -> None:
    """Stands for Gradio: a document, scripts and styles; what is `missing` is not found."""
    path = scope["path"]
    status = 404 if "missing" in path else 200
    kind = b"text/html; charset=utf-8" if path == "/" else b"text/javascript"
    body = HTML.encode() if path == "/" else b"let x;"
    head = {"type": "http.response.start", "status": status}
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({**head, "headers": headers})
    await send({"type": "http.response.body", "body": body[:20], "more_body": True})
    await send({"type": "http.response.body", "body": body[20:]})


@pytest.fixture
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Document(gradio)), base_url="http://here",
        headers={"accept-encoding": ""},
    )  # fmt: skip


async def test_there_is_something_to_read_at_once(client: httpx.AsyncClient) -> None:
    told = await client.get("/", headers={"accept-language": "cs-CZ,cs;q=0.9,en;q=0.8"})
    assert '<p lang="cs" dir="ltr">' in told.text and 'id="shell"' in told.text
    assert told.text.index("<body style='a'>") < told.text.index("shell") < told.text.index("<p>Hi")
    assert told.headers["vary"] == "Accept-Encoding, Accept-Language"


@pytest.mark.parametrize(
    ("accepted", "encoding", "decoded"),
    [
        ("gzip, deflate, br", "br", brotli.decompress),
        ("gzip, deflate", "gzip", gzip.decompress),
        ("br;q=0, gzip;q=0.5", "gzip", gzip.decompress),
        ("", None, bytes),
    ],
)
async def test_it_is_compressed_as_the_browser_accepts(
    client: httpx.AsyncClient, accepted: str, encoding: str | None, decoded: Any
) -> None:
    plain = await client.get("/")
    async with client.stream("GET", "/", headers={"accept-encoding": accepted}) as told:
        raw = b"".join([part async for part in told.aiter_raw()])
    assert told.headers.get("content-encoding") == encoding
    assert int(told.headers["content-length"]) == len(raw)
    assert decoded(raw) == plain.content


async def test_the_next_visitor_is_told_what_the_last_one_had_to_ask_for(
    client: httpx.AsyncClient,
) -> None:
    assert "modulepreload" not in (await client.get("/")).text
    for path in ("/assets/a-1.js", "/assets/a-1.css", "/assets/missing.js", "/other.js"):
        await client.get(path)
    await client.post("/gradio_api/run/predict")
    await client.get("/assets/later.js")  # a tab that was opened
    told = (await client.get("/")).text
    assert '<link rel="modulepreload" crossorigin href="./assets/a-1.js">' in told
    assert '<link rel="preload" as="style" crossorigin href="./assets/a-1.css">' in told
    assert told.count("<link") == 3 and told.index("<link") < told.index("</head>")


async def test_its_icon_lies_beside_it_wherever_a_proxy_shows_it(
    client: httpx.AsyncClient, served: str
) -> None:
    [link] = re.findall('<link rel="icon"[^>]* href="([^"]*)">', (await client.get("/")).text)
    assert urljoin("https://school.example/phi/", link).startswith("https://school.example/phi/")
    async with httpx.AsyncClient() as asked:
        icon = await asked.get(urljoin(f"{served}/", link))
    assert icon.status_code == 200 and icon.headers["content-type"].startswith("image/svg+xml")


@pytest.mark.parametrize(
    "path",
    [
        '/assets/a.js"><script>alert(1)</script>/../../b.js',
        '/assets/a.css"onload="x/../b.css',
        "/assets/a.js/x",
        "/assets/a.js\n",
    ],
)
async def test_nobody_writes_into_the_document_of_others(path: str) -> None:
    document = Document(gradio)

    async def ask(path: str) -> bytes:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "headers": []}
        await document(scope, None, send)  # type: ignore[arg-type]  # nothing is received
        return b"".join(one.get("body", b"") for one in sent)

    plain = await ask("/")
    assert await ask(path) == b"let x;"
    assert await ask("/") == plain


async def test_everything_else_passes_as_it_is(client: httpx.AsyncClient) -> None:
    assert (await client.get("/assets/a.js")).text == "let x;"


async def test_who_asks_for_its_headers_waits_for_no_page() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the page was rendered")

    transport = httpx.ASGITransport(Document(slow))
    async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
        answer = await client.head("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("ar-EG,ar;q=0.9", "ar"),
        ("zh-TW", "zh"),
        ("fr,es;q=0.8", "es"),
        ("fr", "en"),
        ("", "en"),
        ("*", "en"),
        ("," * 5000, "en"),
    ],
)
def test_the_language_is_one_that_the_page_has(accepted: str, language: str) -> None:
    assert preferred_language(accepted) == language


@pytest.mark.asyncio(loop_scope="session")
async def test_nothing_is_fetched_twice(context: BrowserContext, served: str) -> None:
    await Visitor(await context.new_page(), served).open()
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await Visitor(page, served).open()
    assert await page.locator("link[rel=modulepreload]").count() > 20
    files = [url for url in asked if "/assets/" in url]
    assert len(files) == len(set(files)) > 40
    assert not await page.is_visible("#shell")
