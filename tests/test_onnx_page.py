"""Models in Microsoft's ONNX layout, through the page: offered, fetched, loaded and compared."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from backends._local import capacity
from backends._local.host import HOST
from tests.hub import Hub
from tests.pages import SERVICES, Visitor, column_of, line_of
from tests.test_accessibility import KNOWN, findings
from tests.test_onnx_genai import MINI_128K, PHI, lay_out

pytestmark = pytest.mark.asyncio(loop_scope="session")

PIECE = 10_485_760
"""Bytes that the library writes at once."""
HELD = 12_000_000


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub with both models, each with a large file beside it that can be held up."""
    folder = lay_out(tmp_path / "served")
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    repositories = [
        {f"{build.folder}/{name}": data for name, data in files.items()}
        | {f"{build.folder}/z.onnx.data": bytes([n]) * 2 * PIECE}
        for n, build in enumerate((PHI, MINI_128K))
    ]
    hub = Hub(PHI.repository, repositories[0])
    hub.others[MINI_128K.repository] = repositories[1]
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    # Else the library asks again for what a hub holds back for ten seconds.
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "600")
    monkeypatch.delenv("PHI_MODELS_DIR", raising=False)

    async def measured() -> float:
        return 36e9

    # The same machine everywhere.
    monkeypatch.setattr(capacity, "BANDWIDTH", capacity.Bandwidth())
    monkeypatch.setattr(capacity, "_measure_in_child", measured)
    monkeypatch.setattr(capacity, "total_memory", lambda: 16_000_000_000)
    monkeypatch.setattr(capacity, "free_disk", lambda: 74_000_000_000)
    monkeypatch.setattr(capacity, "gpu_memory", lambda: ())
    SERVICES.health.forget()
    yield hub
    hub.close()
    for key in HOST.loaded():
        if str(tmp_path) in key:
            HOST.unload(key)
    SERVICES.health.forget()


async def open_page(context: BrowserContext, served: str, query: str = "") -> Visitor:
    return await Visitor(await context.new_page(), served).open(query)


async def has_chosen(visitor: Visitor, left: str, right: str) -> None:
    for side, model in (("a", left), ("b", right)):
        await expect(visitor.page.locator(f"#text-model-{side} input")).to_have_value(model)


async def compares(visitor: Visitor) -> None:
    """Both real models answer."""
    await visitor.ask("What is a mixture of experts?")
    for side, name in (("a", "Phi-3-mini-128k"), ("b", "Phi-3.5-mini")):
        await visitor.sees(line_of(side), "to first token")  # it has ended
        assert "tokens/s" in await visitor.text(line_of(side))
        await visitor.sees(column_of(side), name)
        await visitor.sees(
            column_of(side), "a router sends each token to a few specialised networks"
        )


async def test_a_real_model_is_one_download_away(
    context: BrowserContext, served: str, hub: Hub
) -> None:
    query = f"?a=onnx_genai/{PHI.repository}&b=pocket/pocket-3"
    visitor = await open_page(context, served, query)
    page = visitor.page
    await visitor.sees("#text-state-a", "a download of about 2.8 GB, in int4")
    await page.click("#text-download-a")
    await visitor.sees("#text-state-a", "Download Phi-3.5-mini? 2.8 GB")
    await visitor.sees("#text-state-a", "74 GB is free on this disk.")
    await page.click("#text-confirm-a")
    await page.wait_for_selector("#text-state-a [data-state=ready]")
    await visitor.sees("#text-opening", "Pocket-3 is a tiny built-in demonstration")
    await visitor.ask("What is a mixture of experts?")
    for side in ("a", "b"):
        await visitor.sees(line_of(side), "to first token")  # it has ended
    left = await visitor.text(column_of("a"))
    assert "a router sends each token to a few specialised networks" in left
    assert "Phi-3.5-mini" in left
    assert visitor.faults == [], visitor.faults


async def test_one_press_gets_both_real_models(
    context: BrowserContext, served: str, hub: Hub
) -> None:
    visitor = await open_page(context, served)
    page = visitor.page
    await visitor.sees("#text-opening", "Two tiny built-in demonstrations, not Microsoft models.")
    await visitor.sees(
        "#text-get", "Get Phi-3-mini and Phi-3.5-mini (2.7 + 2.8 GB, about 12 tokens/s here)"
    )
    whole = await visitor.text("#text-view")
    assert whole.count("not Microsoft") == 1 and "Not a Microsoft" not in whole
    await page.fill("#text-prompt textarea", "A question that I am typing")
    hub.hold_at = HELD
    await page.click("#text-get")
    await visitor.sees("#text-question", "Download Phi-3-mini (2.7 GB) and Phi-3.5-mini (2.8 GB)")
    await expect(page.locator("#text-opening")).to_be_hidden()
    await expect(page.locator("#text-get-confirm")).to_be_focused()
    assert hub.asked == []
    assert await findings(visitor) <= KNOWN
    await page.click("#text-get-cancel")
    await page.click("#text-get")
    await page.click("#text-get-confirm")
    for side, name in (("a", "Phi-3-mini-128k"), ("b", "Phi-3.5-mini")):
        await visitor.sees(f"#text-state-{side}", f"Downloading {name}: ")
        await visitor.sees(f"#text-state-{side}", " · 10 of ")
    await visitor.sees("#text-opening", "Getting Phi-3-mini, Phi-3.5-mini.")
    assert await findings(visitor) <= KNOWN

    again = await open_page(context, served)  # as after a reload
    for side in ("a", "b"):
        await again.sees(f"#text-state-{side}", " · 10 of ")
    await again.sees("#text-opening", "Getting Phi-3-mini, Phi-3.5-mini.")

    hub.hold_at = None
    hub.go_on.set()
    for one in (visitor, again):
        await has_chosen(one, "Phi-3-mini-128k", "Phi-3.5-mini")
        for side in ("a", "b"):
            await one.page.wait_for_selector(f"#text-state-{side} [data-state=ready]")
        await expect(one.page.locator("#text-opening p")).to_have_text("")
        await one.page.wait_for_selector("#text-get", state="hidden")
    # A part that was held back too long is asked for again, from where it was.
    begun = [name for name, span in hub.asked if not span]
    large = [name for name in begun if name.endswith("z.onnx.data")]
    assert len(large) == 2, "each came once, for both pages"
    assert await visitor.prompt() == "A question that I am typing"
    await compares(visitor)
    await page.click("#tabs [data-tab-id=models]")
    # What an earlier check drew may come after what the tab's opening drew.
    await page.click("#check-all")
    # One or both: where memory is short, the first has made room for the second.
    await visitor.sees("#card-onnx_genai", "In memory: Phi-3")
    opened = await open_page(context, served)
    await has_chosen(opened, "Phi-3-mini-128k", "Phi-3.5-mini")
    assert visitor.faults == again.faults == opened.faults == []


async def test_one_side_fails_in_words_and_tries_again(
    context: BrowserContext, served: str, hub: Hub
) -> None:
    hub.away = {MINI_128K.repository}
    visitor = await open_page(context, served)
    page = visitor.page
    await page.click("#text-get")
    await page.click("#text-get-confirm")
    await visitor.sees("#text-state-a", "The download of Phi-3-mini-128k broke off.")
    await has_chosen(visitor, "Pocket-3", "Phi-3.5-mini")
    await visitor.sees("#text-opening", "Pocket-3 is a tiny built-in demonstration")
    await visitor.sees("#text-get", "Get Phi-3-mini (2.7 GB, about 12 tokens/s here)")
    await visitor.sees("#text-state-a", "The download of Phi-3-mini-128k broke off.")
    # Gradio puts the words on a button a moment after it shows it.
    await expect(page.locator("#text-retry-a")).to_have_text("Try again")
    assert await findings(visitor) <= KNOWN
    hub.away = set()
    await page.click("#text-retry-a")
    await has_chosen(visitor, "Phi-3-mini-128k", "Phi-3.5-mini")
    await page.wait_for_selector("#text-state-a [data-state=ready]")
    await expect(page.locator("#text-opening p")).to_have_text("")
    await compares(visitor)
    assert visitor.faults == []


async def test_cancel_ends_one_side_and_keeps_what_came(
    context: BrowserContext, served: str, hub: Hub
) -> None:
    visitor = await open_page(context, served)
    page = visitor.page
    hub.hold_at = HELD
    await page.click("#text-get")
    await page.click("#text-get-confirm")
    for side in ("a", "b"):
        await visitor.sees(f"#text-state-{side}", " · 10 of ")
    other = await open_page(context, served)
    await other.sees("#text-state-a", " · 10 of ")
    await page.click("#text-cancel-a")
    await visitor.sees("#text-state-a", "this lesson and little else")
    await other.sees("#text-state-a", "Phi-3-mini-128k: It was cancelled on another page.")
    await other.page.wait_for_selector("#text-retry-a", state="visible")
    await visitor.sees("#text-state-b", "Downloading Phi-3.5-mini: ")
    await visitor.sees("#text-opening", "Getting Phi-3.5-mini.")
    hub.hold_at = None
    hub.go_on.set()
    await has_chosen(visitor, "Pocket-3", "Phi-3.5-mini")
    await page.click("#text-get")
    await page.click("#text-get-confirm")
    await has_chosen(visitor, "Phi-3-mini-128k", "Phi-3.5-mini")
    spans = [span for name, span in hub.asked if name == f"{MINI_128K.folder}/z.onnx.data"]
    assert spans == [None, f"bytes={PIECE}-"]
    assert visitor.faults == other.faults == []


async def test_pocket_says_what_it_knows_while_nothing_was_asked(
    context: BrowserContext, served: str, hub: Hub
) -> None:
    visitor = await open_page(context, served)
    page = visitor.page
    await visitor.sees("#text-starters", "Pocket knows these:")
    assert not await page.is_visible("#text-example-0"), "the same prompts, folded away"
    await page.focus("#text-starter-1")
    await page.keyboard.press("Enter")
    await visitor.has_prompt("Complete this sentence: A small language model is useful because")
    await page.click("#text-compare")
    for side in ("a", "b"):
        await visitor.sees(line_of(side), "tokens/s")
    await page.wait_for_selector("#text-starters .chip", state="hidden")
    await page.click("#text-clear")
    await page.wait_for_selector("#text-starter-0", state="visible")
    real = await open_page(context, served, "?a=puppet/one&b=puppet/two")
    await real.page.wait_for_selector("#text-state-b [data-state=ready]")
    await expect(real.page.locator("#text-opening p")).to_have_text("")
    assert not await real.page.is_visible("#text-starters")
    assert not await real.page.is_visible("#text-get")
    assert await real.page.is_visible("#text-example-0")
    assert visitor.faults == real.faults == []
