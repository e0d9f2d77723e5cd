"""The backend monitor: asked together, bounded, shared; and what a visitor typed stays theirs."""

import asyncio
import threading
from dataclasses import replace
from typing import ClassVar

import pytest

from backends import REGISTRY, BadRequestError, Connection, Health, Offer
from playground import health as health_module
from playground.health import HealthMonitor, backends_for
from playground.keyring import Keyring
from playground.limits import LOCAL, PUBLIC
from tests.fakes import READY, SPEC, Scripted
from ui.tabs.models.cards import card_html


class Far(Scripted):
    """A server that counts who asks, and answers when the test lets it."""

    id = "far"
    label = "Far"
    kind = "server"
    address_env: ClassVar[str | None] = "FAR"

    def __init__(self) -> None:
        super().__init__()
        self.connections: list[Connection | None] = []
        self._home = threading.get_ident()
        self.called, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def check(self, connection: Connection | None = None) -> Health:
        ready = Health(READY, [Offer("fake", SPEC, READY)])
        if threading.get_ident() != self._home:  # a page that other tests serve looks around
            return ready
        self.connections.append(connection)
        self.called.set()
        await self.gate.wait()
        if self.error:
            raise self.error
        return ready


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Far:
    backend = Far()
    monkeypatch.setitem(REGISTRY, "far", backend)
    return backend


async def test_one_check_serves_everybody_for_a_minute(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = HealthMonitor()
    first, *others = await asyncio.gather(*(monitor.check(far) for _ in range(50)))
    assert len(far.connections) == 1 and all(other is first for other in others)
    assert first.status.ready and [offer.model for offer in first.offers] == ["fake"]
    monkeypatch.setattr(health_module, "CACHE_TTL", -1.0)
    monkeypatch.setattr(health_module, "MIN_INTERVAL", 0.0)
    await monitor.check(far)
    assert len(far.connections) == 2


@pytest.mark.parametrize(
    ("kind", "limits", "asked"), [("server", LOCAL, 2), ("hosted", LOCAL, 1), ("server", PUBLIC, 1)]
)
async def test_what_a_server_has_may_change_any_moment(
    far: Far, monkeypatch: pytest.MonkeyPatch, kind, limits, asked: int
) -> None:
    far.kind, monitor = kind, HealthMonitor(limits)
    await monitor.check(far)
    monkeypatch.setattr(health_module, "SERVER_TTL", -1.0)
    monkeypatch.setattr(health_module, "MIN_INTERVAL", 0.0)
    await monitor.check(far)
    assert len(far.connections) == asked


async def test_whoever_asks_for_a_check_gets_a_new_one(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor, slept = HealthMonitor(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        monkeypatch.setattr(health_module, "MIN_INTERVAL", 0.0)

    monkeypatch.setattr(health_module, "sleep", sleep)
    await monitor.check(far)
    await monitor.check(far, refresh=True)  # the last one has only just been made: it waits
    assert len(far.connections) == 2 and 0 < slept[0] <= 1


async def test_nobody_can_make_it_ask_without_an_end(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = HealthMonitor()
    rings = [Keyring() for _ in range(40)]
    for n, ring in enumerate(rings):
        ring.put("far", key=f"sk-{n}")
    found = await asyncio.gather(*(monitor.check(far, ring) for ring in rings))
    assert len(far.connections) == health_module.MAX_TYPED_CHECKS == 30
    assert [health.status.code for health in found].count("busy") == 10


async def test_an_address_typed_meanwhile_is_the_one_that_counts(far: Far) -> None:
    monitor, ring = HealthMonitor(), Keyring()
    ring.put("far", address="http://old")
    far.gate.clear()
    looking = asyncio.ensure_future(monitor.check(far, ring))
    await far.called.wait()
    ring.put("far", address="http://new")
    far.gate.set()
    await looking
    assert [c and c.base_url for c in far.connections] == ["http://old", "http://new"]


async def test_on_a_public_page_only_its_own_models_are_asked_on_its_key(far: Far) -> None:
    far.kind = "hosted"
    public, ring = HealthMonitor(PUBLIC), Keyring()
    await public.check_offered(far, "fake", ring)
    with pytest.raises(BadRequestError, match="only the models in its list"):
        await public.check_offered(far, "something-dear", ring)
    await HealthMonitor(LOCAL).check_offered(far, "something-dear", ring)
    ring.put("far", key="sk-mine")
    await public.check_offered(far, "something-dear", ring)


async def test_a_slow_backend_is_given_up(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "CHECK_TIMEOUT", 0.01)
    far.gate.clear()
    health = await HealthMonitor().check(far)
    assert (health.status.state, health.status.code) == ("unreachable", "slow")
    assert "Far did not answer" in health.status.message


async def test_what_it_said_is_known_while_it_is_asked_again(far: Far) -> None:
    far.kind = "local"  # asked every time
    monitor = HealthMonitor()
    said = await monitor.check(far)
    far.gate.clear()
    again = asyncio.ensure_future(monitor.check(far))
    await asyncio.sleep(0)
    assert monitor.last(far) is said
    assert monitor.offered_elsewhere("fake", than="pocket")
    far.gate.set()
    assert await again is monitor.last(far) is not said


async def test_what_this_machine_takes_to_load_is_not_the_backends_time(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(connection: Connection | None = None) -> None:
        await asyncio.sleep(0.2)

    monkeypatch.setattr(health_module, "CHECK_TIMEOUT", 0.1)
    monkeypatch.setattr(far, "load", load)
    assert (await HealthMonitor().check(far)).status.ready


async def test_a_slow_backend_does_not_hold_the_others_up(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "CHECK_TIMEOUT", 60.0)
    far.gate.clear()
    monitor = HealthMonitor()
    found = await monitor.check_all(within=2.0)
    assert "pocket" in {health.backend.id for health in found}
    assert "far" not in {health.backend.id for health in found}
    far.gate.set()
    ready = await monitor.check(far)
    assert ready.status.ready
    assert len(far.connections) == 1

    monkeypatch.setattr(health_module, "SERVER_TTL", -1.0)
    monkeypatch.setattr(health_module, "MIN_INTERVAL", 0.0)
    far.gate.clear()
    assert ready in await monitor.check_all(within=0.1), "late: as it was before"
    far.gate.set()


async def test_a_broken_check_is_a_state_and_not_the_end(far: Far) -> None:
    far.error = RuntimeError("ours")
    health = await HealthMonitor().check(far)
    assert (health.status.state, health.status.code) == ("unreachable", "internal")


async def test_typed_connections_are_not_shared(far: Far) -> None:
    monitor, mine = HealthMonitor(), Keyring()
    mine.put("far", key="sk-mine")
    await monitor.check(far, mine)
    await monitor.check(far, Keyring())
    await monitor.check(far, mine)
    assert far.connections == [Connection(None, "sk-mine"), None]


async def test_a_failure_makes_the_next_look_a_new_one(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "MIN_INTERVAL", 0.0)
    monitor = HealthMonitor()
    await monitor.check(far)
    monitor.invalidate(far)
    await monitor.check(far)
    assert len(far.connections) == 2


async def test_a_public_page_asks_no_server_of_the_house(far: Far) -> None:
    found = await HealthMonitor(PUBLIC).check_all()
    assert far.connections == [] and {c.backend.kind for c in found} <= {"local", "hosted"}


def test_a_public_page_has_the_servers_that_its_owner_shares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, shared = REGISTRY["openai_compatible"], replace(PUBLIC, shares_servers=True)
    assert server.address_env and server not in backends_for(shared)
    monkeypatch.setenv(server.address_env, "http://vllm:8000/v1")
    assert server in backends_for(shared) and REGISTRY["ollama"] not in backends_for(shared)
    assert server not in backends_for(PUBLIC)


def test_a_keyring_shows_nothing() -> None:
    ring = Keyring()
    ring.put("far", key=" sk-secret\n", address="http://host")
    assert ring.connection("far") == Connection("http://host", "sk-secret")
    assert "sk-secret" not in repr(ring) + repr(vars(ring))


@pytest.mark.parametrize(
    ("typed", "key"),
    [(" sk-1\n", "sk-1"), ("sk-\n1", "sk-1"), ("sk-\x001", "sk-1"), ("\u200b", None)],
)
def test_a_key_is_kept_without_what_came_along(typed: str, key: str | None) -> None:
    ring = Keyring()
    ring.put("far", address="http://host", key=typed)
    assert ring.connection("far") == Connection("http://host", key)


def test_a_new_address_does_not_get_the_old_key() -> None:
    ring = Keyring()
    ring.put("far", address="http://one", key="sk-one")
    ring.put("far", address="http://two")
    assert ring.connection("far") == Connection("http://two", None)
    ring.put("far", address="")
    assert ring.connection("far") is None


def test_a_forgotten_key_is_gone() -> None:
    ring = Keyring()
    ring.put("far", key="sk-one")
    ring.put("far", key="")
    assert ring.connection("far") is None


def test_backends_stand_by_nearness_and_name_whoever_is_imported_first(monkeypatch) -> None:
    before = [backend.id for backend in backends_for(LOCAL)]
    turned = dict(reversed(REGISTRY.items()))
    monkeypatch.setattr("playground.health.REGISTRY", turned)
    assert [backend.id for backend in backends_for(LOCAL)] == before
    kinds = [turned[key].kind for key in before]
    assert kinds == sorted(kinds, key=["local", "server", "hosted"].index)


def test_a_card_tells_what_is_in_memory(monkeypatch) -> None:
    pocket = REGISTRY["pocket"]
    assert "In memory" not in card_html(REGISTRY["ollama"], None)
    monkeypatch.setattr(pocket, "in_memory", lambda: [("Pocket-3", 54e6), ("<b>", 3.41e9)])
    assert "In memory: Pocket-3 (54 MB), &lt;b&gt; (3.4 GB)" in card_html(pocket, None)
