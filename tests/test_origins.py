"""Another website in the visitor's browser: it can neither read this page nor use it."""

import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.browser import ARGUMENTS, executable
from tests.pages import Puppet
from ui.middleware import own_folder

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browser]

# Names of an attacker's website, and of one whose DNS says 127.0.0.1 (or says so later: rebinding).
NAMES = "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP rebind.example 127.0.0.1"

ATTACK = """async (base) => {
  const found = {};
  const late = () => new Promise((_, no) => setTimeout(() => no("late"), 5000));
  const within = (promise) => Promise.race([promise, late()]);
  const attempt = async (name, what) => {
    try { found[name] = await within(what()); } catch (error) { found[name] = "blocked"; }
  };
  const read = async (answer) => `${answer.status} ${(await answer.text()).slice(0, 60)}`;
  const post = (path, body, more) => fetch(base + path, { method: "POST", body, ...more });
  const json = { headers: { "content-type": "application/json" } };
  const event = JSON.stringify({ fn_index: 0, data: [], session_hash: "evil" });
  const file = () => {
    const form = new FormData();
    form.append("files", new Blob(["x"]), "evil.html");
    return form;
  };
  const blindly = { mode: "no-cors" };
  await attempt("read", async () => read(await fetch(base + "/config")));
  await attempt("event", async () => read(await post("/gradio_api/run/predict", event, json)));
  await attempt("join", async () => read(await post("/gradio_api/queue/join", event, json)));
  await attempt("upload", async () => read(await post("/gradio_api/upload", file())));
  const predict = "/gradio_api/run/predict", upload = "/gradio_api/upload";
  await attempt("silent event", async () => (await post(predict, event, blindly)).type);
  await attempt("silent upload", async () => (await post(upload, file(), blindly)).type);
  await attempt("stream", () => new Promise((yes) => {
    const source = new EventSource(base + "/gradio_api/heartbeat/evil");
    source.onmessage = () => { source.close(); yes("read"); };
    source.onerror = () => { source.close(); yes("blocked"); };
  }));
  return found;
}"""

FORM = """(base) => {
  document.body.innerHTML = `<form method="post" enctype="multipart/form-data"
    action="${base}/gradio_api/upload"><input name="files"></form>`;
  document.forms[0].submit();
}"""


class Website(BaseHTTPRequestHandler):
    """A page of somebody else's, the same at every address."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>elsewhere</title><body>A website.</body>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another website on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Website)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest_asyncio.fixture(loop_scope="session")
async def stranger() -> AsyncIterator[Page]:
    """A page in a browser to which the attacker's names lead."""
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(
            executable_path=executable(), args=[*ARGUMENTS, NAMES]
        )
        yield await browser.new_page()
        await browser.close()


def uploaded() -> list[Path]:
    return [path for path in own_folder().rglob("*") if path.is_file()]


async def test_another_website_gets_nothing_by_any_name(
    stranger: Page, served: str, puppet: Puppet, elsewhere: int
) -> None:
    port = served.rpartition(":")[2]
    before = set(uploaded())
    for website in (f"http://evil.example:{elsewhere}", f"http://evil.localhost:{elsewhere}"):
        for name in ("127.0.0.1", "localhost", "foo.localhost", "localhost.", "rebind.example"):
            await stranger.goto(website)
            found = await stranger.evaluate(ATTACK, f"http://{name}:{port}")
            silent = {found.pop("silent event"), found.pop("silent upload")}
            assert set(found.values()) == {"blocked"}, (website, name, found)
            assert silent <= {"opaque", "blocked"}  # sent, perhaps, but the answer was 403
    assert set(uploaded()) <= before and puppet.asked == []


async def test_a_name_that_leads_here_is_not_this_page(
    stranger: Page, served: str, puppet: Puppet
) -> None:
    base = f"http://rebind.example:{served.rpartition(':')[2]}"
    answer = await stranger.goto(f"{base}/robots.txt")
    assert answer and answer.status == 403
    found = await stranger.evaluate(ATTACK, base)
    assert found.pop("stream") == "blocked"
    assert {found.pop("silent event"), found.pop("silent upload")} == {"basic"}  # 403 as well
    assert all(value.startswith("403 ") for value in found.values()), found


async def test_a_form_of_another_website_is_refused(
    stranger: Page, served: str, elsewhere: int
) -> None:
    before = set(uploaded())
    await stranger.goto(f"http://evil.example:{elsewhere}")
    async with stranger.expect_navigation():
        await stranger.evaluate(FORM, served)
    assert "comes from another website" in await stranger.inner_text("body")
    assert set(uploaded()) <= before


async def test_a_link_of_another_website_opens_the_page(
    stranger: Page, served: str, elsewhere: int
) -> None:
    await stranger.goto(f"http://evil.example:{elsewhere}")
    async with stranger.expect_navigation():
        await stranger.evaluate("(to) => { location.href = to; }", f"{served}/?prompt=Hello")
    await stranger.wait_for_selector("#text-prompt textarea")
    assert await stranger.title() == "Phi Playground"
