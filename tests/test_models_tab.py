"""The Models tab in a real browser: servers are found and lost; keys leave no trace."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Route, expect

from tests.pages import SERVICES, Puppet, Visitor, answer_of, column_of, line_of
from tests.recordings import play
from tests.stub import Reply, Stub, delta, sse, usage

pytestmark = pytest.mark.asyncio(loop_scope="session")
CARD = "#card-openai_compatible"
CHAT, LIST = "/v1/chat/completions", "/v1/models"
STREAM = {"content-type": "text/event-stream"}
PHI = "microsoft/Phi-3.5-mini-instruct"


@pytest_asyncio.fixture(loop_scope="session")
async def stub() -> AsyncGenerator[Stub, None]:
    """A server that has one Phi model and says one thing."""
    SERVICES.health.forget()
    async with Stub() as stub:
        stub.on(LIST, Reply.of({"data": [{"id": PHI}]}))
        stub.on(CHAT, Reply((sse(delta("From afar", "stop"), usage(3, 2)),), headers=STREAM))
        yield stub


async def connect(visitor: Visitor, address: str, key: str = "") -> None:
    """Type an address, and a key, and check them."""
    page = visitor.page
    await page.click("#tabs [data-tab-id=models]")
    await page.fill("#address-openai_compatible input", address)
    await page.fill("#key-openai_compatible input", key)
    await page.click("#check-openai_compatible")


async def choose(visitor: Visitor, side: str, backend: str, model: str) -> None:
    """Pick a backend and one of its models on the Text tab."""
    page = visitor.page
    await page.click("#tabs [data-tab-id=text]")
    await page.click(f"#text-backend-{side} input")
    await page.get_by_role("option", name=backend, exact=True).click()
    await page.wait_for_selector(f"#text-state-{side} .state")
    await page.click(f"#text-model-{side} input")
    await page.get_by_role("option", name=model).click()
    await page.wait_for_selector(f"#text-state-{side} .state[data-state=ready]")


async def hold(visitor: Visitor) -> asyncio.Event:
    """Keep back what the page asks its server, until the event is set."""
    go_on = asyncio.Event()

    async def wait(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await visitor.page.route("**/gradio_api/run/**", wait)
    return go_on


async def test_a_typed_server_answers(visitor: Visitor, puppet: Puppet, stub: Stub) -> None:
    await visitor.page.click("#tabs [data-tab-id=models]")
    await visitor.sees(CARD, "Needs an address")
    await connect(visitor, stub.url, "sk-typed")
    await visitor.sees(CARD, "Can answer: Phi-3.5-mini")
    await visitor.sees("#models-table", "OpenAI-compatible server")
    assert await visitor.page.input_value("#key-openai_compatible input") == ""
    await choose(visitor, "a", "OpenAI-compatible server", "Phi-3.5-mini")
    await visitor.ask("Who is there?")
    puppet.answer("two", "I am.")
    await visitor.sees(column_of("a"), "From afar")
    await visitor.finished()
    await visitor.sees(line_of("a"), "2 tokens")
    (asked,) = stub.asked(CHAT)
    assert asked.headers["authorization"] == "Bearer sk-typed"
    assert asked.json["messages"] == [{"role": "user", "content": "Who is there?"}]
    assert "sk-typed" not in await visitor.page.content()


async def test_a_forgotten_key_is_sent_no_more(visitor: Visitor, stub: Stub) -> None:
    await connect(visitor, stub.url, "sk-typed")
    await visitor.sees(CARD, "Can answer")
    await visitor.page.click("#forget-openai_compatible")
    await visitor.sees(CARD, "Needs an address")
    await connect(visitor, stub.url)
    await visitor.sees(CARD, "Can answer")
    assert "authorization" not in stub.asked(LIST)[-1].headers


async def test_a_server_that_dies_while_the_other_side_goes_on(
    visitor: Visitor, puppet: Puppet, stub: Stub
) -> None:
    await connect(visitor, stub.url)
    await visitor.sees(CARD, "Can answer")
    await choose(visitor, "a", "OpenAI-compatible server", "Phi-3.5-mini")
    half = sse(delta("Half of "), done=False)
    stub.on(CHAT, Reply((half, asyncio.Event()), headers=STREAM))
    await visitor.ask("Go on")
    puppet.feed("two", "Still here")
    await visitor.sees(answer_of("a"), "Half of")
    await visitor.sees(answer_of("b"), "Still here")
    await stub.die()
    await visitor.sees(
        line_of("a"),
        "hung up in the middle of its answer. What came is kept.",
    )
    puppet.answer("two", ", to the end.")
    await visitor.sees(column_of("b"), "Still here, to the end.")
    await visitor.finished()
    assert "Half of" in await visitor.text(column_of("a"))
    assert await visitor.prompt() == "Go on"
    # Nobody reloads, nobody presses Check.
    await visitor.sees("#text-state-a", "Unreachable")
    await visitor.page.click("#tabs [data-tab-id=models]")
    await visitor.sees(CARD, "cannot be reached at")


async def test_a_server_without_a_list_is_asked_by_name(
    visitor: Visitor, puppet: Puppet, stub: Stub
) -> None:
    stub.on(LIST, Reply.of("Not Found", 404))
    await connect(visitor, stub.url)
    await visitor.sees(CARD, "lists no models")
    page = visitor.page
    await page.click("#tabs [data-tab-id=text]")
    await page.click("#text-backend-a input")
    await page.get_by_role("option", name="OpenAI-compatible server", exact=True).click()
    await visitor.sees("#text-state-a", "Type the name of a model.")
    box = page.locator("#text-model-a input")
    await expect(box).to_have_value("")  # the other backend's model has gone: it is drawn
    await box.fill("my-own-phi")
    await box.press("Enter")
    await visitor.sees("#text-state-a", "A name you typed")
    await visitor.ask("Who is there?")
    puppet.answer("two", "I am.")
    await visitor.sees(column_of("a"), "From afar")
    assert stub.asked(CHAT)[0].json["model"] == "my-own-phi"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("not an address", "This is not the address of a server."),
        ("http://me:secret@host", "must not hold a name, a password"),
        ("ftp://host", "This is not the address of a server."),
    ],
)
async def test_what_is_no_address(visitor: Visitor, typed: str, sentence: str) -> None:
    await connect(visitor, typed)
    await visitor.sees(CARD, sentence)
    assert "secret" not in await visitor.text(CARD)


async def test_a_wrong_key_is_said_so(visitor: Visitor, stub: Stub) -> None:
    stub.on(LIST, Reply.of({"error": {"message": "Wrong key sk-wrong"}}, 401))
    await connect(visitor, stub.url, "sk-wrong")
    await visitor.sees(CARD, "refused the key")
    await visitor.sees(CARD, "Needs a key")
    assert "sk-wrong" not in await visitor.page.content()


async def test_what_cannot_work_cannot_be_chosen(visitor: Visitor) -> None:
    page = visitor.page
    await page.click("#text-backend-a input")
    retired = page.get_by_role("option", name="GitHub Models — retired")
    await retired.wait_for()
    await page.wait_for_selector(".options [aria-disabled=true]")
    assert await retired.get_attribute("aria-disabled") == "true"
    assert await retired.evaluate("node => getComputedStyle(node).pointerEvents") == "none"
    names = await page.get_by_role("option").all_inner_texts()
    ready = ["—" not in name for name in names]
    assert ready == sorted(ready, reverse=True), "those that are ready come first"


def lines(*events: object) -> bytes:
    """What Ollama streams: an object to a line."""
    return "".join(json.dumps(event) + "\n" for event in events).encode()


async def test_ollama_pulls_a_model_and_then_has_it(visitor: Visitor, stub: Stub) -> None:
    stub.on("/api/version", Reply.of({"version": "0.33.0"}))
    stub.on("/api/tags", Reply.of({"models": []}))
    stub.on("/api/ps", Reply.of({"models": []}))
    here = asyncio.Event()
    begun = lines({"status": "pulling", "digest": "a", "total": 2000, "completed": 500})
    ended = lines({"status": "success"})
    stub.on("/api/pull", Reply((begun, here, ended), headers={"content-type": "x-ndjson"}))
    page = visitor.page
    await page.click("#tabs [data-tab-id=models]")
    await page.fill("#address-ollama input", stub.url)
    await page.click("#check-ollama")
    await visitor.sees("#card-ollama", "Ollama 0.33.0 answers.")
    await page.click("#tabs [data-tab-id=text]")
    await page.click("#text-backend-a input")
    await page.get_by_role("option", name="Ollama", exact=True).click()
    await visitor.sees("#text-state-a", "Not here yet")
    await page.click("#text-download-a")
    await visitor.sees("#text-state-a", "from Ollama's library, onto the machine at http")
    assert stub.asked("/api/pull") == []
    await page.click("#text-confirm-a")
    await visitor.sees("#text-state-a", "25 %")
    details = {"quantization_level": "Q4_0", "parameter_size": "3.8B"}
    tag = {"name": "phi3.5:latest", "model": "phi3.5:latest", "size": 2000, "details": details}
    stub.on("/api/tags", Reply.of({"models": [tag]}))
    here.set()
    await page.wait_for_selector("#text-state-a [data-state=ready]")
    assert "Q4_0" in await visitor.text("#text-state-a")


async def test_a_typed_address_stays_for_the_next_visit_and_no_key(
    visitor: Visitor, stub: Stub
) -> None:
    stub.on("/api/version", Reply.of({"version": "0.33.0"}))
    stub.on("/api/tags", Reply.of({"models": []}))
    page = visitor.page
    await page.click("#tabs [data-tab-id=models]")
    await page.fill("#address-ollama input", stub.url)
    await page.fill("#key-ollama input", "sk-secret")
    await page.click("#check-ollama")
    await visitor.sees("#card-ollama", "Ollama 0.33.0 answers.")
    await page.reload()
    await page.click("#tabs [data-tab-id=models]")
    await expect(page.locator("#address-ollama input")).to_have_value(stub.url)
    await visitor.sees("#card-ollama", "Ollama 0.33.0 answers.")
    assert await page.input_value("#key-ollama input") == ""
    assert "sk-secret" not in await page.evaluate("JSON.stringify(localStorage)")
    await page.click("#forget-ollama")
    await expect(page.locator("#address-ollama input")).to_have_value("")
    await page.reload()
    await page.click("#tabs [data-tab-id=models]")
    await page.wait_for_selector("#card-ollama .state[data-state]:not([data-state=asking])")
    assert await page.input_value("#address-ollama input") == ""


async def test_a_download_that_failed_stays_said(visitor: Visitor, stub: Stub) -> None:
    play(stub, "0.32.15", "pull-corrupt")
    stub.on("/api/tags", Reply.of({"models": []}))
    page = visitor.page
    await page.click("#tabs [data-tab-id=models]")
    await page.fill("#address-ollama input", stub.url)
    await page.click("#check-ollama")
    await visitor.sees("#card-ollama", "Ollama 0.32.15 answers.")
    await page.click("#tabs [data-tab-id=text]")
    await page.click("#text-backend-a input")
    await page.get_by_role("option", name="Ollama", exact=True).click()
    await visitor.sees("#text-state-a", "Not here yet")
    await page.click("#text-download-a")
    await page.click("#text-confirm-a")
    await visitor.sees("#text-state-a", "came damaged")
    # Other checks do not wipe it away.
    await page.click("#tabs [data-tab-id=models]")
    await page.click("#check-ollama")
    await visitor.sees("#card-ollama", "Ollama 0.32.15 answers.")
    await page.click("#tabs [data-tab-id=text]")
    assert "came damaged" in await visitor.text("#text-state-a")


@pytest.mark.parametrize(
    ("installed", "state"), [([], "not-installed"), (["phi3:latest"], "ready")]
)
async def test_a_link_to_another_name_of_a_model_finds_it(
    context: BrowserContext, served: str, puppet: Puppet, stub: Stub, monkeypatch, installed, state
) -> None:
    tags = [{"name": name, "model": name, "size": 1} for name in installed]
    stub.on("/api/version", Reply.of({"version": "0.33.0"}))
    stub.on("/api/tags", Reply.of({"models": tags}))
    monkeypatch.setenv("OLLAMA_HOST", stub.url)
    SERVICES.health.forget()
    visitor = await Visitor(await context.new_page(), served).open("?a=ollama/phi3:mini")
    await visitor.page.wait_for_selector(f"#text-state-a [data-state={state}]")
    downloads = await visitor.page.locator("#text-download-a").is_visible()
    assert downloads is (state != "ready")
    assert "a name you typed" not in (await visitor.text("#text-state-a")).lower()
    SERVICES.health.forget()
    assert visitor.faults == []


async def test_the_page_opens_on_ollama_if_that_has_both(
    context: BrowserContext, served: str, puppet: Puppet, stub: Stub, monkeypatch
) -> None:
    tags = [{"name": name, "model": name, "size": 1} for name in ("phi3.5:latest", "phi3:latest")]
    stub.on("/api/version", Reply.of({"version": "0.33.0"}))
    stub.on("/api/tags", Reply.of({"models": tags}))
    monkeypatch.setenv("OLLAMA_HOST", stub.url)
    visitor = await Visitor(await context.new_page(), served).open("")
    await visitor.page.click("#tabs [data-tab-id=models]")
    await visitor.sees("#card-ollama", "Ollama 0.33.0 answers")
    await visitor.open("")  # a slow machine opens its first page before Ollama has answered
    for side, model in (("a", "Phi-3-mini-4k"), ("b", "Phi-3.5-mini")):
        box = visitor.page.locator(f"#text-model-{side} input")
        await expect(box).to_have_value(model)
    await visitor.page.wait_for_selector("#text-state-b [data-state=ready]")
    assert await visitor.text("#text-opening") == "", "of real models nothing is said"
    SERVICES.health.forget()
    assert visitor.faults == []


@pytest.mark.parametrize(
    ("listed", "found", "then"),
    [
        (Reply.of({"data": [{"id": PHI}]}), "Can answer", ["Phi-3.5-mini"]),
        (Reply.of("Not Found", 404), "lists no models", ["No models listed"]),
    ],
)
async def test_a_list_that_shrinks_while_it_is_open(
    visitor: Visitor, puppet: Puppet, stub: Stub, listed: Reply, found: str, then: list[str]
) -> None:
    """The puppets' three models are looked at while the server's are still on their way."""
    page = visitor.page
    stub.on(LIST, listed)
    await visitor.page.click("#tabs [data-tab-id=models]")
    await visitor.sees(CARD, "Needs an address")
    await connect(visitor, stub.url)
    await visitor.sees(CARD, found)
    await page.click("#tabs [data-tab-id=text]")

    await page.click("#text-backend-a input")
    go_on = await hold(visitor)
    await page.get_by_role("option", name="OpenAI-compatible server", exact=True).click()
    await page.click("#text-model-a input")
    models = page.locator("#text-model-a [role=option]")
    await expect(models).to_have_count(3)
    go_on.set()
    await expect(models).to_have_count(1)
    assert [await one.get_attribute("aria-label") for one in await models.all()] == then


async def test_compare_waits_for_the_models_of_a_backend(
    visitor: Visitor, puppet: Puppet, stub: Stub
) -> None:
    """The old backend's model is still in the picker when Compare is pressed."""
    page = visitor.page
    await page.click("#tabs [data-tab-id=models]")
    await visitor.sees(CARD, "Needs an address")
    await connect(visitor, stub.url)
    await visitor.sees(CARD, "Can answer")
    await page.click("#tabs [data-tab-id=text]")
    await page.click("#text-backend-a input")
    go_on = await hold(visitor)
    await page.get_by_role("option", name="OpenAI-compatible server", exact=True).click()
    await page.wait_for_selector("#text-pane-a[aria-busy=true]")
    await visitor.ask("Who is there?")
    await page.wait_for_selector("#text-compare[aria-busy=true]")
    assert puppet.asked == [] and stub.asked(CHAT) == []
    go_on.set()
    puppet.answer("two", "I am.")
    await visitor.sees(column_of("a"), "From afar")
    await visitor.sees(column_of("b"), "I am.")
    assert stub.asked(CHAT)[0].json["model"] == PHI
    assert await page.locator("[aria-busy=true]").count() == 0


async def test_the_last_of_two_backends_counts(visitor: Visitor, puppet: Puppet) -> None:
    """Another one is chosen before the first one's models are here."""
    page = visitor.page
    await page.click("#text-backend-a input")
    go_on = await hold(visitor)
    await page.get_by_role("option", name="OpenAI-compatible server").click()
    await page.click("#text-backend-a input")
    await page.get_by_role("option", name="Puppet").click()
    go_on.set()
    await page.wait_for_selector("#text-pane-a[aria-busy=false]")
    await expect(page.locator("#text-model-a input")).to_have_value("One")
    await visitor.sees("#text-state-a", "Ready to play.")


async def test_what_was_opened_or_folded_away_stays_so_when_cards_are_drawn_anew(
    visitor: Visitor, puppet: Puppet
) -> None:
    page = visitor.page
    await page.click("#tabs [data-tab-id=models]")
    await visitor.sees(CARD, "Needs an address")
    stamp, fold = page.locator(f"{CARD} time"), page.locator(f"{CARD} details")
    opened = await fold.get_attribute("open") is not None
    for _ in range(2):
        before = await stamp.get_attribute("datetime") or ""
        await page.click(f"{CARD} summary")
        opened = not opened
        await page.click("#check-all")
        await expect(stamp).not_to_have_attribute("datetime", before)
        await expect(page.locator(f"{CARD} details[open]")).to_have_count(int(opened))


# Several servers, under names


@pytest_asyncio.fixture(loop_scope="session")
async def second() -> AsyncGenerator[Stub, None]:
    """A server with another model."""
    async with Stub() as stub:
        stub.on(LIST, Reply.of({"data": [{"id": "SmolLM2", "max_model_len": 2048}]}))
        stub.on(CHAT, Reply((sse(delta("From the lab", "stop"), usage(3, 3)),), headers=STREAM))
        yield stub


async def add_server(visitor: Visitor, name: str, address: str, key: str = "") -> None:
    """Add a server on the Models tab."""
    page = visitor.page
    await page.click("#tabs [data-tab-id=models]")
    await page.fill("#add-name input", name)
    await page.fill("#add-address input", address)
    await page.fill("#add-key input", key)
    await page.click("#add-server")


async def test_two_servers_are_compared_side_by_side(
    visitor: Visitor, puppet: Puppet, stub: Stub, second: Stub
) -> None:
    page = visitor.page
    await connect(visitor, stub.url)
    await visitor.sees(CARD, "Can answer: Phi-3.5-mini")
    await add_server(visitor, "Lab", f"{second.url}/v1/models", "Bearer sk-lab")
    await visitor.sees("#card-server-1", "Can answer: SmolLM2")
    assert await page.input_value("#add-key input") == ""
    assert await page.input_value("#add-name input") == ""
    await choose(visitor, "a", "OpenAI-compatible server", "Phi-3.5-mini")
    await choose(visitor, "b", "Lab", "SmolLM2")
    await visitor.sees("#text-state-b", "Context: 2,048 tokens.")
    await visitor.ask("Who is there?")
    await visitor.sees(column_of("a"), "From afar")
    await visitor.sees(column_of("b"), "From the lab")
    await visitor.finished()
    assert second.asked(CHAT)[0].headers["authorization"] == "Bearer sk-lab"
    assert "authorization" not in stub.asked(CHAT)[0].headers
    assert "shared device" not in await visitor.text(line_of("a"))
    assert "b=openai_compatible%3ALab/SmolLM2" in page.url

    # A reload keeps name and address, and forgets the key.
    await page.reload()
    await page.wait_for_selector("#text-state-b .state[data-state=ready]")
    await expect(page.locator("#text-backend-b input")).to_have_value("Lab")
    await page.click("#tabs [data-tab-id=models]")
    await visitor.sees("#card-server-1", "Can answer: SmolLM2")
    assert "authorization" not in second.asked(LIST)[-1].headers

    # One that is removed is gone everywhere.
    await page.click("#remove-server-1")
    await expect(page.locator("#card-server-1")).to_be_hidden()
    await page.click("#tabs [data-tab-id=text]")
    await visitor.sees("#text-state-b", "It is not here any more.")
    await page.click("#text-backend-b input")
    await page.get_by_role("option", name="Puppet").wait_for()
    assert await page.get_by_role("option", name="Lab").count() == 0
    await page.reload()
    await page.wait_for_selector("#text-state-a .state")
    await page.click("#tabs [data-tab-id=models]")
    await page.click("#check-all")
    await visitor.sees(CARD, "checked")
    await expect(page.locator("#card-server-1")).to_be_hidden()
    assert visitor.faults == []


async def test_what_is_no_server_is_not_added(visitor: Visitor) -> None:
    await add_server(visitor, "Lab", "not an address", "sk-lab")
    await visitor.sees("#add-notice", "This is not the address of a server.")
    assert await visitor.page.input_value("#add-name input") == "Lab"
    assert await visitor.page.input_value("#add-key input") == ""
    await expect(visitor.page.locator("#card-server-1")).to_be_hidden()


async def test_each_has_its_own_health(visitor: Visitor, stub: Stub, second: Stub) -> None:
    await add_server(visitor, "One", stub.url)
    await visitor.sees("#card-server-1", "Can answer: Phi-3.5-mini")
    await add_server(visitor, "Two", second.url)
    await visitor.sees("#card-server-2", "Can answer: SmolLM2")
    await second.die()
    await visitor.page.click("#check-server-2")
    await visitor.sees("#card-server-2", "Two cannot be reached at")
    assert "Can answer: Phi-3.5-mini" in await visitor.text("#card-server-1")
    await visitor.page.click("#remove-server-1")
    await visitor.sees("#card-server-1", "Two cannot be reached at")


async def test_a_link_to_a_server_that_is_not_known_here(
    context: BrowserContext, served: str, puppet: Puppet
) -> None:
    visitor = await Visitor(await context.new_page(), served).open(
        "?a=openai_compatible:Lab/phi&b=puppet/two"
    )
    await visitor.sees("#text-composer", "a server that this page does not know: “Lab”")
    await visitor.page.wait_for_selector("#text-state-a .state[data-state=ready]")
    await expect(visitor.page.locator("#text-model-b input")).to_have_value("Two")
    assert visitor.faults == []
