"""Several servers of one kind: by names of the visitor's own, each with an address and a key."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace

import gradio as gr
import pytest

from backends import REGISTRY, BadRequestError, Connection, base_id
from playground.answer import Request
from playground.compare import complete
from playground.conversation import Conversation, Turn
from playground.health import MAX_TYPED_CHECKS, HealthMonitor, backends_for
from playground.keyring import MAX_SERVERS, Keyring
from playground.limits import LOCAL, PUBLIC
from playground.services import Services
from tests.forms import read
from tests.stub import Reply, Stub, delta, sse
from ui.compare.pickers import Pickers
from ui.compare.servers import restore_servers, to_browser
from ui.compare.status import backend_choices, model_label
from ui.compare.view import CompareView

SERVER = REGISTRY["openai_compatible"]
CHAT, MODELS = "/v1/chat/completions", "/v1/models"
STREAM = {"content-type": "text/event-stream"}


def serve(stub: Stub, model: str, text: str) -> None:
    """Have a stub list one model and give one answer."""
    stub.on(MODELS, Reply.of({"data": [{"id": model}]}))
    stub.on(CHAT, Reply((sse(delta(text, "stop")),), headers=STREAM))


@pytest.fixture
async def other() -> AsyncGenerator[Stub, None]:
    async with Stub() as stub:
        yield stub


def test_a_server_has_a_name_and_keeps_its_kind() -> None:
    ring = Keyring()
    server = ring.add_server(SERVER, " My  second ", "localhost:8001", "sk-1")
    assert (server.id, server.label) == ("openai_compatible:My second", "My second")
    assert server.kind == "server" and base_id(server) == SERVER.id
    assert ring.connection(server.id) == Connection("localhost:8001", "sk-1")
    assert ring.backend(server.id) is server and server.id not in REGISTRY
    assert "sk-1" not in repr(ring) + repr(vars(ring))


@pytest.mark.parametrize(
    ("name", "address", "label"),
    [
        ("", "http://localhost:8001/v1", "localhost:8001"),
        ("\u200b", "10.0.0.2:80", "10.0.0.2:80"),
        ("a/b\\c", "localhost", "a-b-c"),
        ('<b>"x"', "localhost", "-b--x-"),
        ("x" * 100, "localhost", "x" * 40),
        ("二号\n服务器", "localhost", "二号 服务器"),
    ],
)
def test_what_it_is_called(name: str, address: str, label: str) -> None:
    assert Keyring().add_server(SERVER, name, address).label == label


def test_the_same_name_again_changes_it() -> None:
    ring = Keyring()
    one = ring.add_server(SERVER, "Lab", "localhost:1", "sk-1")
    assert ring.add_server(SERVER, "lab", "localhost:1") is one
    assert ring.connection(one.id) == Connection("localhost:1", "sk-1")
    ring.add_server(SERVER, "Lab", "localhost:2")
    assert ring.connection(one.id) == Connection("localhost:2"), "the key was another one's"


@pytest.mark.parametrize(
    ("name", "address"), [("Lab", "not an address"), ("Lab", ""), ("ollama", "localhost")]
)
def test_what_cannot_be_added(name: str, address: str) -> None:
    ring = Keyring()
    with pytest.raises(BadRequestError):
        ring.add_server(SERVER, name, address)
    assert ring.servers == ()


def test_there_is_a_card_for_so_many() -> None:
    ring = Keyring()
    for number in range(MAX_SERVERS):
        ring.add_server(SERVER, f"{number}", "localhost")
    with pytest.raises(BadRequestError, match="Remove one first"):
        ring.add_server(SERVER, "one more", "localhost")
    ring.add_server(SERVER, "0", "localhost:2")
    ring.remove_server("openai_compatible:0")
    assert ring.connection("openai_compatible:0") is None
    ring.add_server(SERVER, "one more", "localhost")
    ring.forget()
    assert ring.servers == () and ring.backend("openai_compatible:1") is None


def test_it_stands_behind_its_like() -> None:
    ring = Keyring()
    ring.add_server(SERVER, "zebra", "localhost")
    ring.add_server(SERVER, "Ape", "localhost")
    labels = [one.label for one in backends_for(LOCAL, ring)]
    place = labels.index(SERVER.label)
    assert labels[place : place + 3] == [SERVER.label, "Ape", "zebra"]
    public = [one.label for one in backends_for(PUBLIC, ring)]
    assert "Ape" in public and SERVER.label not in public, "the environment's is its owner's"
    assert "Ape" not in [one.label for one in backends_for(replace(PUBLIC, addresses=False), ring)]


def test_the_environment_is_not_its(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", "http://one")
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "sk-env")
    ring = Keyring()
    server = ring.add_server(SERVER, "Lab", "http://two")
    assert server.resolve_endpoint(ring.connection(server.id)).key is None
    with pytest.raises(Exception, match="Lab has no address yet"):
        server.resolve_endpoint(None)


async def test_two_are_compared_and_each_has_its_own_health(stub: Stub, other: Stub) -> None:
    serve(stub, "phi-3-mini", "From one.")
    serve(other, "SmolLM2", "From two.")
    ring, services = Keyring(), Services()
    ring.put(SERVER.id, address=stub.url)
    second = ring.add_server(SERVER, "Lab", other.url, "sk-2")
    every = {one.backend.id: one for one in await services.health.check_all(ring)}
    assert [offer.model for offer in every[SERVER.id].offers] == ["phi-3-mini"]
    assert [offer.model for offer in every[second.id].offers] == ["SmolLM2"]
    assert ("Lab", second.id) in backend_choices(list(every.values()))
    form = read((SERVER.id, "phi-3-mini"), (second.id, "SmolLM2"))
    form.checked(LOCAL, {0, 1}, ring)
    asked = Conversation(turns=(Turn(prompt="Hi"),))
    requests = [form.request(side, asked, ring, LOCAL) for side in (0, 1)]
    answers = await asyncio.gather(*map(complete, requests))
    assert [answer.text for answer in answers] == ["From one.", "From two."]
    assert [seen.headers.get("authorization") for seen in other.asked(CHAT)] == ["Bearer sk-2"]
    assert "authorization" not in stub.asked(CHAT)[0].headers
    devices = [answer.clock.device for answer in answers]
    assert devices == [f"{stub.url}/v1", f"{other.url}/v1"], "none shares the other's"
    assert model_label(services.health, second.id, "SmolLM2", ring) == ("SmolLM2", "Lab")
    await other.die()
    again = await services.health.check(second, ring, refresh=True)
    assert not again.status.ready and "Lab cannot be reached" in again.status.message
    assert (await services.health.check(SERVER, ring, refresh=True)).status.ready


def test_one_that_was_removed_cannot_be_asked() -> None:
    ring = Keyring()
    form = read(("openai_compatible:gone", "phi"), ("pocket", "pocket-3"))
    with pytest.raises(BadRequestError, match="Side A has no backend"):
        form.checked(LOCAL, {0, 1}, ring)


def test_none_is_asked_on_a_public_page_that_takes_no_addresses() -> None:
    ring, closed = Keyring(), replace(PUBLIC, addresses=False)
    server = ring.add_server(SERVER, "Lab", "https://lab.example")
    form = read((server.id, "phi"), ("pocket", "pocket-3"))
    with pytest.raises(BadRequestError, match="Side A has no backend"):
        form.checked(closed, {0, 1}, ring)
    assert form.checked(PUBLIC, {0, 1}, ring) is form
    restored = Keyring(public=True)
    restore_servers(restored, to_browser(ring), closed)
    assert restored.servers == ()


async def test_names_are_no_way_around_the_limit_of_checks(stub: Stub) -> None:
    stub.on(MODELS, Reply.of({"data": []}))
    monitor, codes = HealthMonitor(), []
    for number in range(MAX_TYPED_CHECKS + 1):
        ring = Keyring()
        server = ring.add_server(SERVER, f"{number}", stub.url)
        codes.append((await monitor.check(server, ring)).status.code)
    assert codes.count("busy") == 1 and len(stub.asked(MODELS)) == MAX_TYPED_CHECKS


def test_names_are_no_way_around_the_queue() -> None:
    services, ring = Services(), Keyring()
    server = ring.add_server(SERVER, "Lab", "localhost")
    assert services.queue(server) is services.queue(SERVER)


# What the browser keeps


def test_the_browser_keeps_names_and_addresses_but_no_key() -> None:
    ring, restored = Keyring(), Keyring()
    ring.add_server(SERVER, "Lab", "localhost:8001", "sk-secret")
    ring.put("ollama", address="http://elsewhere", key="sk-other")
    ring.put("github_models", key="sk-third")
    kept = to_browser(ring)
    servers, addresses = [["Lab", "localhost:8001"]], {"ollama": "http://elsewhere"}
    assert "sk-" not in kept
    assert json.loads(kept) == {"servers": servers, "addresses": addresses}
    restore_servers(restored, kept, LOCAL)
    assert restored.connection("openai_compatible:Lab") == Connection("localhost:8001")
    assert restored.connection("ollama") == Connection("http://elsewhere")
    restored.put("ollama", address="http://typed", key="sk-now")
    restore_servers(restored, kept, LOCAL)
    assert restored.connection("ollama") == Connection("http://typed", "sk-now")
    public = Keyring(public=True)
    restore_servers(public, kept, PUBLIC)
    assert public.connection("ollama") == Connection(public=True)
    assert public.servers == (), "localhost is none of the internet"
    restore_servers(public, json.dumps([["Lab", "https://lab.example"]]), PUBLIC)
    assert public.connection("openai_compatible:Lab") == Connection(
        "https://lab.example", public=True
    )
    old = Keyring()
    restore_servers(old, json.dumps(servers), LOCAL)
    assert len(old.servers) == 1
    ring.remove_server("openai_compatible:Lab")
    restore_servers(restored, to_browser(ring), LOCAL)
    assert len(restored.servers) == 1, "those of this visit stay"


@pytest.mark.parametrize(
    "stored",
    [
        *(None, 7, "", "{", "null", "7", '"x"', "{}", '{"a": 1}', "[1, null, [], [[]]]"),
        *('[["a"]]', '[["a", "not an address"]]', '[["Ollama", "localhost"]]', '["ab"]'),
        json.dumps([["x", None], ["y", {"z": 1}]]),
        '{"servers": 7, "addresses": [1]}',
        '{"addresses": {"ollama": 7, "nowhere": "http://x", "mlx": "http://x"}}',
        "[" * 100_000,
    ],
)
def test_what_the_browser_kept_is_not_trusted(stored: object) -> None:
    ring = Keyring()
    restore_servers(ring, stored, LOCAL)
    assert ring.servers == ()
    assert not any(map(ring.connection, REGISTRY))


# The pickers


def pickers() -> Pickers:
    with gr.Blocks():
        return CompareView("text", Services(), gr.State(Keyring())).pickers[0]


async def test_one_that_was_removed_is_not_chosen_any_more(stub: Stub) -> None:
    serve(stub, "phi", "Hello.")
    picker, ring = pickers(), Keyring()
    server = ring.add_server(SERVER, "Lab", stub.url)
    shown = await picker.on_backend_change(ring, server.id, "")
    assert shown[picker.pane.model].value == "phi"
    every = await picker.monitor.check_all(ring)
    updates = picker.on_health(every, ring, server.id, "phi", "<p>")
    assert ("Lab", server.id) in updates[picker.pane.backend].choices
    ring.remove_server(server.id)
    every = await picker.monitor.check_all(ring)
    updates = picker.on_health(every, ring, server.id, "phi", "<p>")
    assert updates[picker.pane.backend].value is None
    assert ("Lab", server.id) not in updates[picker.pane.backend].choices
    assert "not here any more" in updates[picker.pane.state]


async def test_the_model_of_one_server_is_not_asked_of_another(stub: Stub, other: Stub) -> None:
    serve(stub, "phi", "")
    serve(other, "SmolLM2", "")
    picker, ring = pickers(), Keyring()
    one, two = (ring.add_server(SERVER, at.url, at.url) for at in (stub, other))
    await picker.monitor.check_all(ring)
    shown = await picker.on_backend_change(ring, two.id, "phi")
    assert shown[picker.pane.model].value == "SmolLM2"
    shown = await picker.on_backend_change(ring, one.id, "my-own")
    assert shown[picker.pane.model].value == "my-own", "a name that was typed stays"


async def test_a_request_of_one_that_was_removed_meanwhile_ends_well(stub: Stub) -> None:
    """The run has its own backend and connection."""
    serve(stub, "phi", "Hello.")
    ring = Keyring()
    server = ring.add_server(SERVER, "Lab", stub.url)
    form = read((server.id, "phi"), (server.id, "phi"))
    request: Request = form.request(0, Conversation(turns=(Turn(prompt="Hi"),)), ring, LOCAL)
    ring.remove_server(server.id)
    assert (await complete(request)).text == "Hello."
