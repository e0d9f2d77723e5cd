"""A public page on a Space: signed in with Hugging Face, in a real browser, and attacked there.

The provider and the router are stand-ins on this machine (`openid.py`, `stub.py`); the page, its
cookie, TLS before it and the way through a second tab are real.
"""

import asyncio
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import gradio
import gradio.oauth
import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, async_playwright

from playground.limits import LOCAL, PUBLIC
from playground.services import Services
from tests.browser import ARGUMENTS, PATIENCE, executable
from tests.openid import CLIENT, CLIENT_SECRET, Provider, provider
from tests.pages import Visitor, column_of, free_port
from tests.real_server import wait_until_up
from tests.stub import Reply, Stub, delta, sse
from tests.test_huggingface import NO_CREDIT, NO_SCOPE
from ui import sign_in
from ui.page import build
from ui.sign_in import has_sign_in

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browser]

ROOT = Path(__file__).resolve().parent.parent
TLS = ROOT / "tests" / "data" / "tls"
HOST = "ada-phi.hf.space"
ADDRESS = f"https://{HOST}"
PHI = "microsoft/Phi-3.5-mini-instruct"
OWNERS = {
    "HF_TOKEN": "hf_owners_token",
    "NVIDIA_API_KEY": "nvapi-owners-key",
    "OPENAI_COMPATIBLE_API_KEY": "sk-owners-key",
    "OPENAI_COMPATIBLE_BASE_URL": "http://127.0.0.1:9/v1",
    "AZURE_FOUNDRY_API_KEY": "azure-owners-key",
}
TYPED = "sk-typed-by-the-visitor"
# The router's address is not one of a variable: nobody needs another.
START = """
import sys
from backends.huggingface import HuggingFace
HuggingFace.default_address = sys.argv.pop(1)
import app
app.main()
"""
SECRETS = (*OWNERS.values(), TYPED, CLIENT_SECRET)
COPIES = ("#text-copy-markdown", "#text-copy-json", "#text-copy-link")


@dataclass
class Space:
    """The page as the browser reaches it, and what stands around it."""

    inner: int
    """The page's own port."""
    port: int
    """Where TLS is spoken for it."""
    hub: Provider
    router: Stub
    log: Path


@pytest.fixture(scope="module")
def hub() -> Iterator[Provider]:
    with provider() as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def space(hub: Provider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Space]:
    """The page with a Space's variables, behind TLS as a Space's proxy speaks it."""
    port, log = free_port(), tmp_path_factory.mktemp("log") / "space.log"
    environment = os.environ | {
        **OWNERS,
        "SYSTEM": "spaces",
        "SPACE_ID": "ada/phi",
        "SPACE_HOST": HOST,
        "OAUTH_CLIENT_ID": CLIENT,
        "OAUTH_CLIENT_SECRET": CLIENT_SECRET,
        "OAUTH_SCOPES": "openid profile inference-api",
        "OPENID_PROVIDER_URL": hub.url,
        "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    async with Stub() as router:
        row = {"id": PHI, "providers": [{"provider": "novita", "status": "live"}]}
        router.on("/v1/models", Reply.of({"data": [row]}))
        with log.open("w") as output:
            process = _start(f"{router.url}/v1", port, environment, output)
        try:
            await asyncio.to_thread(wait_until_up, f"http://127.0.0.1:{port}", process, log)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "good.pem", TLS / "key.pem")
            front = await asyncio.start_server(_forward(port), "127.0.0.1", 0, ssl=context)
            async with front:
                yield Space(port, front.sockets[0].getsockname()[1], hub, router, log)
        finally:
            process.terminate()
            process.wait(30)


def _start(
    router: str, port: int, environment: dict[str, str], output: TextIO
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", START, router, "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def _forward(port: int):
    """Pass a request on to a port, as a proxy that ended its TLS."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            inner, out = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, asyncio.IncompleteReadError):
            return writer.close()
        first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith((b"connection:", b"x-forw"))]
        ours = [b"connection: close", b"x-forwarded-proto: https", b"x-forwarded-for: 8.8.4.4"]
        out.write(b"\r\n".join([first, *kept, *ours]) + b"\r\n\r\n")
        await asyncio.gather(pipe(reader, out), pipe(inner, writer))

    return serve


@pytest_asyncio.fixture(loop_scope="session")
async def context(space: Space) -> AsyncIterator[BrowserContext]:
    """A browser for which the Space's name leads to this machine."""
    names = f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{space.port}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable(), args=[*ARGUMENTS, names, "--ignore-certificate-errors"]
        )
        context = await browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(PATIENCE * 1000)
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context
        await browser.close()


async def opened(context: BrowserContext) -> Page:
    page = await context.new_page()
    await page.goto(f"{ADDRESS}/?a=pocket/pocket-3&b=huggingface/{PHI}")
    await page.wait_for_selector("#text-prompt textarea", state="visible")
    return page


async def on_models(page: Page) -> None:
    await page.click("#tabs [data-tab-id=models]")
    await page.wait_for_selector("#sign-in", state="visible")


async def signed_in(context: BrowserContext) -> Page:
    """Sign in from the page, as a visitor does; the tab in which it ends."""
    page = await opened(context)
    await on_models(page)
    async with context.expect_page() as tab:
        await page.click("#sign-in")
    second = await tab.value
    await second.click("text=Authorize")
    await second.wait_for_url(f"{ADDRESS}/**")
    await second.wait_for_selector("#text-prompt textarea", state="visible")
    await on_models(second)
    return second


async def ask(page: Page, prompt: str) -> None:
    """Compare Pocket with the Phi behind the router."""
    await page.click("#tabs [data-tab-id=text]")
    await page.fill("#text-prompt textarea", prompt)
    turns = page.locator("#text-transcript .turn")
    asked = await turns.count()
    await page.click("#text-compare")
    await turns.nth(asked).wait_for()
    await page.wait_for_selector("#text-transcript .transcript:not([data-busy])")
    await page.wait_for_selector("#text-compare", state="visible")


async def seen_by(page: Page) -> str:
    """All that the browser's scripts can read."""
    stored = "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    fields = "() => [...document.querySelectorAll('input, textarea')].map(e => e.value).join('|')"
    parts = [await page.content(), page.url]
    return "\n".join([*parts, *[await page.evaluate(one) for one in (stored, fields)]])


def secrets_in(text: str) -> set[str]:
    return {one for one in (*SECRETS, Provider.token) if one in text}


async def test_a_visitor_signs_in_and_pays_for_themself(
    context: BrowserContext, space: Space
) -> None:
    answer = Reply((sse(delta("Yes.", "stop")),), headers={"content-type": "text/event-stream"})
    space.router.on("/v1/chat/completions", answer)
    page = await signed_in(context)
    await page.wait_for_selector("#sign-in-note >> text=Signed in as ada")
    wanted = space.hub.asked[-1]
    assert wanted["scope"].split() == ["openid", "profile", "inference-api"]
    assert wanted["redirect_uri"].startswith(f"{ADDRESS}/login/callback")
    await page.wait_for_selector("#card-huggingface [data-state=ready]")
    await ask(page, "Is there a key?")
    visitor = Visitor(page, ADDRESS)
    await visitor.sees(column_of("b"), "Yes.")
    (asked,) = space.router.asked("/v1/chat/completions")
    assert asked.headers["authorization"] == f"Bearer {Provider.token}"
    assert asked.json["model"] == PHI

    # The token is where it belongs, and nowhere else.
    copied = []
    for button in COPIES:
        await page.click(button)
        await page.wait_for_selector(".copied")
        copied.append(await page.evaluate("() => navigator.clipboard.readText()"))
        await page.wait_for_selector(".copied", state="detached")
    await page.click("#text-code-b")
    await visitor.sees("#text-transcript .program[data-side=b]", 'os.environ["HF_TOKEN"]')
    read = "(path) => fetch(path).then((answer) => answer.text())"
    config = [await page.evaluate(read, path) for path in ("/config", "/")]
    everything = [await seen_by(page), *copied, *config, space.log.read_text()]
    assert all(len(one) > 20 for one in everything)
    assert secrets_in("\n".join(everything)) == set()
    cookies = await context.cookies(ADDRESS)
    assert [(one["name"], one["httpOnly"], one["secure"]) for one in cookies] == [
        ("session", True, True)
    ]

    # Out again: nothing of it is left.
    await on_models(page)
    await page.click("#sign-in >> text=Sign out")
    await page.wait_for_selector("#text-prompt textarea", state="visible")
    await on_models(page)
    await page.wait_for_selector("#sign-in >> text=Sign in with Hugging Face")
    await page.wait_for_selector("#card-huggingface >> text=Sign in on the Models tab")
    sent = [one.headers.get("authorization", "") for one in space.router.seen]
    assert not any(secret in value for secret in SECRETS for value in sent)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply.of({"error": NO_SCOPE}, 403), "This token may not call Inference Providers."),
        (Reply.of({"error": NO_CREDIT}, 402), "The Inference Providers credit of this token"),
        (
            Reply((sse(delta("What came. "), {"error": {"message": NO_CREDIT, "code": 402}}),)),
            "The Inference Providers credit of this token",
        ),
        (
            Reply.of({"error": "no"}, 500, x_inference_provider="novita"),
            "Hugging Face’s provider novita failed",
        ),
    ],
    ids=["no scope", "no credit", "no credit in mid-answer", "provider down"],
)
async def test_a_failure_is_one_sentence_and_the_other_side_goes_on(
    context: BrowserContext, space: Space, reply: Reply, told: str
) -> None:
    space.router.on("/v1/chat/completions", reply)
    page = await signed_in(context)
    await ask(page, "What is a small language model?")
    visitor = Visitor(page, ADDRESS)
    await visitor.sees(column_of("b"), told)
    if reply.status == 200:
        await visitor.sees(column_of("b"), "What came.")
    text = await visitor.text(column_of("b"))
    assert text.count(told) == 1 and "somebody-private" not in text
    assert len(await visitor.text(column_of("a"))) > 100


async def test_a_sign_in_without_the_scope_says_so(
    context: BrowserContext, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space.hub, "scope", "openid profile", raising=False)
    page = await signed_in(context)
    await page.wait_for_selector("#sign-in-note >> text=You did not let this page")
    await page.wait_for_selector("#card-huggingface >> text=Sign in on the Models tab")


async def test_nobody_is_signed_in_by_a_link_of_another(
    context: BrowserContext, space: Space
) -> None:
    """Login by a stranger's code: its word is not in this browser, so it begins anew."""
    page = await context.new_page()
    await page.goto(f"{ADDRESS}/login/callback?code=theirs&state=theirs&_target_url=//evil.example")
    assert page.url.startswith(space.hub.url), "asked for their own consent"
    page = await opened(context)
    await on_models(page)
    await page.wait_for_selector("#sign-in >> text=Sign in with Hugging Face")
    headers = {"host": HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{space.inner}") as website:
        for path in ("/login/huggingface", "/logout", "/login/callback"):
            assert (await website.get(path, headers=headers)).status_code == 403, path
    await page.goto(f"{space.hub.url}/oauth/jwks")
    await page.evaluate("(page) => { location.href = page + '/logout' }", ADDRESS)
    await page.wait_for_selector("text=comes from another website")


async def test_a_visitor_tries_to_have_an_owners_key_sent_to_them(
    context: BrowserContext, space: Space
) -> None:
    """With addresses inside and outside of this machine, in every field there is."""
    async with Stub() as canary:
        page = await opened(context)
        await on_models(page)
        inside = (canary.url, canary.url.replace("http:", "https:"), "https://localhost/v1")
        visitor = Visitor(page, ADDRESS)
        for address in (*inside, "https://2130706433/v1", "https://[::ffff:127.0.0.1]/v1"):
            await page.fill("#add-address input", address)
            await page.fill("#add-key input", TYPED)
            await page.click("#add-server")
            await page.wait_for_function(
                "() => document.querySelector('#add-key input').value === ''"
            )
            await visitor.sees("#add-notice", "public page")
        for card in ("nvidia_nim", "azure_foundry"):
            await page.wait_for_selector(f"#address-{card} input", state="visible")
            for address in inside:
                await page.fill(f"#address-{card} input", address)
                await page.click(f"#check-{card}")
                await visitor.sees(f"#card-{card}", "public page")
        await page.fill("#key-huggingface input", TYPED)
        await page.click("#check-huggingface")
        await page.wait_for_selector("#forget-huggingface", state="visible")
        assert canary.seen == []
        assert {"#card-ollama", "#card-openai_compatible"} & set(
            await page.evaluate(
                "() => [...document.querySelectorAll('.card')].map(c => '#' + c.id)"
            )
        ) == set(), "servers of the owner's own network are none of a visitor's"
        assert secrets_in(await seen_by(page) + space.log.read_text()) == set()
        sent = [one.headers.get("authorization", "") for one in space.router.seen]
        assert f"Bearer {TYPED}" in sent
        assert not any(secret in value for secret in OWNERS.values() for value in sent)


# Where there is a sign-in


async def test_only_a_space_that_asks_for_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere Gradio signs visitors in as its host: CVE-2026-27167."""
    whole = {"SYSTEM": "spaces", "SPACE_ID": "ada/phi"} | dict.fromkeys(sign_in.VARIABLES, "x")
    for name, value in whole.items():
        monkeypatch.setenv(name, value)
        if name in sign_in.VARIABLES:  # Gradio has read them already
            monkeypatch.setattr(gradio.oauth, name, value)
    assert has_sign_in()
    assert build(Services(PUBLIC)).expects_oauth
    assert not build(Services(LOCAL)).expects_oauth
    for name in whole:
        with monkeypatch.context() as patch:
            patch.setenv(name, "")
            if name == "SPACE_ID":
                patch.delenv(name)
            assert not has_sign_in(), name


async def test_without_one_its_routes_are_not_there(served: str) -> None:
    for path in ("/login/huggingface", "/login/callback", "/logout"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            await asyncio.to_thread(urllib.request.urlopen, served + path)
