"""No key leaves its place: planted in every variable and field, then looked for everywhere."""

import json
import logging
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext

from backends import REGISTRY
from tests.pages import SERVICES, Puppet, Visitor, column_of
from tests.stub import Reply, Stub, delta, sse

pytestmark = pytest.mark.asyncio(loop_scope="session")

VARIABLES = (
    *("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"),
    *("OPENAI_WEBHOOK_SECRET", "OPENAI_COMPATIBLE_API_KEY", "OLLAMA_API_KEY"),
    *("NVIDIA_API_KEY", "NGC_API_KEY", "NVIDIA_NIM_API_KEY", "GITHUB_TOKEN", "GH_TOKEN"),
    *("AZURE_OPENAI_API_KEY", "AZURE_FOUNDRY_API_KEY", "AZURE_INFERENCE_CREDENTIAL"),
    *("AZURE_CLIENT_SECRET", "AZURE_OPENAI_AD_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    *("ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY"),
)
PLANTED = {name: f"planted-{name.lower().replace('_', '-')}" for name in VARIABLES}
SERVED = {key: backend for key, backend in REGISTRY.items() if backend.key_env}
TYPED = {key: f"typed-for-{key.replace('_', '-')}" for key in SERVED}
SECRETS = {*PLANTED.values(), *TYPED.values(), "planted-custom-header"}


LISTEN = """
    window.told = [];
    const real = window.fetch;
    window.fetch = async (...asked) => {
      const answer = await real(...asked);
      const reader = answer.clone().body?.pipeThrough(new TextDecoderStream()).getReader();
      const listen = async () => {
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          window.told.push(part.value);
        }
      };
      if (reader) listen().catch(() => {});
      return answer;
    };
"""
"""Keeps what every request of the page is told, streams too."""


class Everything(logging.Handler):
    """Keeps every record of every logger, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every credential that any of the SDKs looks for, each with a value of its own."""
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Extra: planted-custom-header")
    SERVICES.health.forget()


@pytest.fixture
def log() -> "AsyncGenerator[Everything, None]":
    """Everything that is logged, at the lowest level."""
    root, handler = logging.getLogger(), Everything()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(before)
    root.removeHandler(handler)


@pytest_asyncio.fixture(loop_scope="session")
async def elsewhere() -> AsyncGenerator[Stub, None]:
    """An address that nobody's key belongs to, but those that are typed beside it."""
    async with Stub() as stub:
        yield stub


def found(text: str) -> set[str]:
    """The secrets that stand in a text."""
    return {secret for secret in SECRETS if secret in text}


async def whole(visitor: Visitor) -> str:
    """Everything that the browser has: the page, its address, its storage."""
    stored = "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    fields = "() => [...document.querySelectorAll('input, textarea')].map(e => e.value).join('|')"
    page = visitor.page
    parts = [
        await page.content(),
        page.url,
        await page.evaluate(stored),
        await page.evaluate(fields),
    ]
    return "\n".join(parts)


async def type_everywhere(visitor: Visitor, address: str) -> None:
    """An address and a key into every card that has room for them."""
    await visitor.page.click("#tabs [data-tab-id=models]")
    for key, backend in SERVED.items():
        if backend.address_env:
            await visitor.page.fill(f"#address-{key} input", address)
        await visitor.page.fill(f"#key-{key} input", TYPED[key])
        await visitor.page.click(f"#check-{key}")
        await visitor.page.wait_for_selector(f"#forget-{key}")


async def test_no_key_is_anywhere(
    context: BrowserContext,
    served: str,
    puppet: Puppet,
    planted: None,
    log: Everything,
    elsewhere: Stub,
) -> None:
    page = await context.new_page()
    await page.add_init_script(LISTEN)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor = await Visitor(page, served).open()

    # A server that repeats the key it was given, in a refusal.
    refusals = [Reply.of({"error": {"message": f"Bad key {key}"}}, 401) for key in TYPED.values()]
    for path in ("/v1/models", "/openai/v1/models", "/models", "/api/tags", "/catalog/models"):
        elsewhere.on(path, *refusals)
    await type_everywhere(visitor, elsewhere.url)
    await page.click("#check-all")
    await visitor.sees("#card-openai_compatible", "refused the key")

    # An answer, so that there is something to copy, with a typed key at work.
    elsewhere.on("/v1/models", Reply.of({"data": [{"id": "phi"}]}))
    stream = Reply((sse(delta("Yes.", "stop")),), headers={"content-type": "text/event-stream"})
    elsewhere.on("/v1/chat/completions", stream)
    await page.click("#check-openai_compatible")
    await visitor.sees("#card-openai_compatible", "Can answer: phi")
    await page.click("#tabs [data-tab-id=text]")
    await page.click("#text-backend-a input")
    await page.get_by_role("option", name="OpenAI-compatible server", exact=True).click()
    await page.wait_for_selector("#text-state-a [data-state=ready]")
    await visitor.ask("Is there a key?")
    puppet.answer("two", "No.")
    await visitor.finished()
    await visitor.sees(column_of("a"), "Yes.")
    copied: list[str] = []
    for button in ("#text-copy-markdown", "#text-copy-json", "#text-copy-link"):
        await page.click(button)
        await page.wait_for_selector(".copied")
        copied.append(await page.evaluate("() => navigator.clipboard.readText()"))
        await page.wait_for_selector(".copied", state="detached")
    await page.click("#text-code-a")
    await visitor.sees("#text-transcript .program[data-side=a]", "os.environ")
    seen = await whole(visitor)
    told = await page.evaluate("() => window.told.join('')")
    config = [
        await (await context.request.get(served + path)).text()
        for path in ("/config", "/gradio_api/info", "/gradio_api/openapi.json", "/")
    ]
    await page.reload()
    await page.wait_for_selector(".state[data-state=ready]")
    after = await whole(visitor)

    assert found(seen) == set(), "on the page"
    assert found(after) == set(), "kept over a reload"
    assert found("\n".join(config)) == set(), "in the page's description"
    assert found("\n".join(copied)) == set(), "in what is copied"
    assert "Yes." in told and found(told) == set(), "in an event to the browser"
    assert log.lines and found("\n".join(log.lines)) == set(), "in a log"


async def test_a_key_goes_where_it_belongs(
    visitor: Visitor, planted: None, elsewhere: Stub
) -> None:
    await type_everywhere(visitor, elsewhere.url)
    await visitor.page.click("#check-all")
    await visitor.sees("#card-openai_compatible", "checked")
    received = [json.dumps(seen.headers) + seen.body.decode() for seen in elsewhere.seen]
    assert received
    for text in received:
        assert found(text) <= set(TYPED.values()), "the environment's keys stay at home"
        assert len(found(text)) <= 1
