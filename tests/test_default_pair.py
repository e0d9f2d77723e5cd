"""What a view opens on when a check is late or something is missing: never on nothing."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from backends import MODELS, REGISTRY, Capacity, Health, Offer, Status
from backends._remote.gpu_quota import Quota
from backends.zerogpu import ZeroGPU, quota_status
from playground import health
from playground.examples import load_examples
from playground.keyring import Keyring
from playground.limits import LOCAL, PUBLIC
from playground.services import Services
from ui.compare.default_pair import default_moe_pair, default_text_pair, default_vision_pair
from ui.compare.examples import Examples
from ui.compare.real_models import RealModels
from ui.compare.view import CompareView
from ui.tabs.text import TextView

GB = 1_000_000_000
LAPTOP = Capacity(16 * GB, 9 * GB, (), 74 * GB)
BIG_GPU = replace(LAPTOP, gpus=(24 * GB,))
READY = Status("ready", "On this machine.", "ready_local")
EXAMPLES = load_examples("en")
PHI = "microsoft/Phi-3.5-mini-instruct-onnx"
PHIS = ("phi-3-mini-128k", "phi-3.5-mini")
PAIRS = [
    (default_text_pair, ["pocket-3", "pocket-3.5"]),
    (default_vision_pair, ["pocket-vision", "pocket-vision"]),
    (default_moe_pair, ["pocket-moe", "pocket-3.5"]),
]
each_pair = pytest.mark.parametrize(("choose_pair", "models"), PAIRS, ids=["text", "vision", "moe"])
POCKET = REGISTRY["pocket"]


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model was downloaded."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("PHI_MODELS_DIR", raising=False)
    monkeypatch.setattr("ui.compare.default_pair.OPENING_TIMEOUT", 30.0)  # machines differ


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Pocket's check is too late, until the event is set."""
    here, check = asyncio.Event(), POCKET.check

    async def checked(connection: Any = None) -> Any:
        await here.wait()
        return await check(connection)

    monkeypatch.setattr(POCKET, "check", checked)
    monkeypatch.setattr(health, "CHECK_TIMEOUT", 0.01)
    return here


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the built-in models are not there."""
    monkeypatch.setattr(POCKET, "checkpoint", lambda spec: None)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch is not installed."""
    monkeypatch.setattr("backends._core.backend.find_spec", lambda name: None)


def chosen(pair: Any) -> list[str]:
    return [offer.model for _, offer in (pair.left, pair.right)]


@each_pair
async def test_a_late_check_opens_on_the_built_in_models(choose_pair, models, late) -> None:
    pair = await choose_pair(Services(PUBLIC), Keyring())
    assert chosen(pair) == models
    assert "did not answer" in pair.sentence


@each_pair
async def test_a_broken_check_opens_on_the_built_in_models(
    choose_pair, models, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(connection: Any = None) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(POCKET, "check", broken)
    pair = await choose_pair(Services(LOCAL), Keyring())
    assert chosen(pair) == models and "could not check it" in pair.sentence


@each_pair
async def test_without_pytorch_nothing_is_called_ready(choose_pair, models, bare) -> None:
    pair = await choose_pair(Services(LOCAL), Keyring())
    assert chosen(pair) == models
    assert not any(offer.status.ready for _, offer in (pair.left, pair.right))
    assert "Install with “pip install " in pair.sentence


@pytest.mark.parametrize("backend", ["pocket", "transformers"])
async def test_without_pytorch_no_offer_is_ready_nor_a_download(backend: str, bare) -> None:
    health = await REGISTRY[backend].check()
    assert health.status.code == "missing_packages"
    assert REGISTRY[backend].install in health.status.message
    assert {offer.status.code for offer in health.offers} == {"missing_packages"}
    assert {offer.download_size for offer in health.offers} == {None}


@each_pair
async def test_missing_weights_are_said_and_not_offered_as_a_download(
    choose_pair, models, lost
) -> None:
    pair = await choose_pair(Services(LOCAL), Keyring())
    assert chosen(pair) == models
    assert "files of the built-in models are missing" in pair.sentence
    assert {offer.download_size for offer in (await POCKET.check()).offers} == {None}
    assert not (await POCKET.check()).status.ready


def has(monkeypatch: pytest.MonkeyPatch, backend: str, *keys: str) -> None:
    """A backend has these models, ready to answer."""
    offers = [Offer(key, MODELS[key], READY) for key in keys]

    async def check(connection: Any = None) -> Health:
        return Health(READY, offers)

    monkeypatch.setattr(REGISTRY[backend], "check", check)


@pytest.mark.parametrize(
    ("machine", "backends", "expected"),
    [
        (LAPTOP, ("onnx_genai", "ollama", "transformers"), "onnx_genai"),
        (BIG_GPU, ("ollama", "transformers"), "ollama"),
        (BIG_GPU, ("transformers",), "transformers"),
        (replace(LAPTOP, memory=24 * GB), ("transformers",), "transformers"),
        (LAPTOP, ("transformers",), "pocket"),
        (LAPTOP, (), "pocket"),
    ],
    ids=["int4", "Ollama", "a GPU", "much memory", "little memory", "nothing"],
)
async def test_the_best_place_that_has_both_is_opened_with(
    machine: Capacity, backends: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(**_: Any) -> Capacity:
        return machine

    monkeypatch.setattr("ui.compare.default_pair.capacity", look)
    for backend in backends:
        has(monkeypatch, backend, *PHIS)
    pair = await default_text_pair(Services(LOCAL), Keyring())
    assert {health.backend.id for health, _ in (pair.left, pair.right)} == {expected}
    assert bool(pair.sentence) == (expected == "pocket"), "of real models nothing is said"
    assert "Two tiny built-in demonstrations" in pair.sentence or not pair.sentence


async def test_one_real_model_is_compared_with_a_built_in_one(monkeypatch) -> None:
    has(monkeypatch, "onnx_genai", "phi-3.5-mini")
    pair = await default_text_pair(Services(LOCAL), Keyring())
    assert chosen(pair) == ["pocket-3", "phi-3.5-mini"]
    assert ">Pocket-3 is a tiny built-in demonstration, not a Microsoft model.<" in pair.sentence


@pytest.mark.parametrize(
    ("onnx", "torch", "expected"),
    [
        (("phi-3-vision", "phi-3.5-vision"), (), ["phi-3-vision", "phi-3.5-vision"]),
        ((), ("phi-3-vision", "phi-3.5-vision"), ["phi-3-vision", "phi-3.5-vision"]),
        (("phi-3.5-vision",), ("phi-3.5-vision",), ["phi-3.5-vision"] * 2),  # in 4 and 16 crops
        (("phi-3.5-vision",), (), ["pocket-vision", "phi-3.5-vision"]),
        ((), (), ["pocket-vision"] * 2),
    ],
)
async def test_the_vision_tab_opens_with_what_is_here(
    monkeypatch: pytest.MonkeyPatch,
    onnx: tuple[str, ...],
    torch: tuple[str, ...],
    expected: list[str],
) -> None:
    has(monkeypatch, "onnx_genai", *onnx)
    has(monkeypatch, "transformers", *torch)
    pair = await default_vision_pair(Services(LOCAL), Keyring())
    assert chosen(pair) == expected
    crops = tuple(one.get("crops") for one in pair.side_settings)
    assert (crops != (None, None)) == (expected[0] == expected[1]), "a model compared with itself"


POCKETS = (("pocket", "pocket-3"), ("pocket", "pocket-3.5"))


def as_sent(
    real: RealModels, models: Sequence[tuple[str, str]], keyring: Keyring | None = None
) -> dict[Any, Any]:
    """What an event of the page tells when these are chosen, by backend and name."""
    panes = [picker.pane for picker in real.pickers]
    lists = [one for pane in panes for one in (pane.backend, pane.model)]
    names = [one for model in models for one in model]
    return {
        **dict.fromkeys(lists),
        real.keyring: keyring or Keyring(),
        **dict(zip(lists, names, strict=False)),
    }


def text_view(services: Services) -> TextView:
    with gr.Blocks():
        return TextView("text", services, gr.State(Keyring()), Examples({"en": EXAMPLES}))


async def test_a_public_page_offers_no_download() -> None:
    services = Services(PUBLIC)
    pair = await default_text_pair(services, Keyring())
    assert ">For the real Phi models, run this page on your own computer.<" in pair.sentence
    real = text_view(services).real
    updates = await real.on_choice(as_sent(real, POCKETS))
    assert updates[real.sentence] == f"<p>{pair.sentence}</p>" and not updates[real.get].visible
    await real.download(as_sent(real, POCKETS))
    assert services.downloads.find(REGISTRY["onnx_genai"], PHI) is None


async def test_what_does_not_fit_is_said_and_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(**_: Any) -> Capacity:
        return replace(LAPTOP, memory=4 * GB)

    monkeypatch.setattr("ui.compare.real_models.capacity", look)
    real = text_view(Services(LOCAL)).real
    updates = await real.on_choice(as_sent(real, POCKETS))
    assert "Phi-3.5-mini needs 3.8 GB of memory" in updates[real.sentence]
    assert not updates[real.get].visible and updates[real.other_ways].visible


async def test_what_is_here_by_now_is_chosen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, "onnx_genai", *PHIS)
    shown, keyring = text_view(Services(LOCAL)), Keyring()
    real, panes = shown.real, shown.panes
    sent = as_sent(real, POCKETS, keyring)
    updates = await real.on_choice(sent)
    assert updates[real.get].value == "Compare Phi-3-mini and Phi-3.5-mini"
    updates = await real.ask(sent)
    assert [updates[pane.model].value for pane in panes[:2]] == [*PHIS]
    assert [updates[pane.backend] for pane in panes[:2]] == ["onnx_genai"] * 2
    assert updates[real.sentence] == "<p></p>", "of real models nothing is said"
    assert real.question not in updates


def view() -> CompareView:
    with gr.Blocks():
        return CompareView("text", Services(), gr.State(Keyring()))


@pytest.mark.parametrize("backend", REGISTRY)
async def test_typing_before_a_model_is_chosen_loads_nothing(backend: str) -> None:
    picker = view().pickers[0]
    for model in (None, ""):
        await picker.prepare(backend, model)
    assert picker.services.preparing == set()


async def test_the_pickers_show_a_late_model_and_fill_in_once_its_check_is_there(late) -> None:
    shown, keyring = view(), Keyring()
    picker = shown.pickers[0]
    pane = picker.pane
    opened = await picker.show_selection(keyring, "pocket", "pocket-3")
    assert opened[pane.model].value == "pocket-3"
    assert "did not answer" in opened[pane.state]
    late.set()
    known = [await shown.services.health.check(POCKET, keyring)]
    for model in ("pocket-3", None):  # chosen already, or nothing could be
        told = picker.on_health(known, keyring, "pocket", model, opened[pane.state])
        assert 'data-state="ready"' in told[pane.state]
        assert ("Pocket-3", "pocket-3") in told[pane.model].choices
    assert told[pane.model].value in {offer.model for offer in known[0].offers}


@pytest.mark.parametrize("backend", ["pocket", "transformers", "onnx_genai"])
async def test_other_peoples_work_holds_up_no_look_at_the_disk(backend: str) -> None:
    go_on, crowded = threading.Event(), ThreadPoolExecutor(1)
    crowded.submit(go_on.wait)
    asyncio.get_running_loop().set_default_executor(crowded)
    try:
        await asyncio.wait_for(REGISTRY[backend].load(), 20)  # every check begins with it
        health = await asyncio.wait_for(REGISTRY[backend].check(), 20)
    finally:
        go_on.set()
    assert health.offers


@pytest.mark.parametrize("gone", [False, True])
async def test_on_zerogpu_the_real_models_are_chosen_and_what_is_left_is_told(
    gone: bool, monkeypatch
) -> None:
    """When the visitor's time is gone, the next best stands there, and where to get more."""
    gpu = ZeroGPU()
    quota = Quota(300, 0 if gone else 200)

    async def check(connection=None) -> Health:
        status = quota_status(quota)
        keys = ("phi-3-mini-128k", "phi-3.5-mini")
        offers = [Offer(MODELS[key].hub_id or "", MODELS[key], status) for key in keys]
        return Health(status, offers)

    monkeypatch.setattr(gpu, "check", check)
    monkeypatch.setitem(REGISTRY, "zerogpu", gpu)
    monkeypatch.setenv("SPACE_ID", "someone/phi-playground")
    pair = await default_text_pair(Services(PUBLIC), Keyring())
    chosen = {side[0].backend.id for side in (pair.left, pair.right)}
    if not gone:
        assert chosen == {"zerogpu"} and "3 min 20 s of 5 min left" in pair.sentence
        return
    assert "zerogpu" not in chosen and "is used up" in pair.sentence
    ways = ["choose ONNX Runtime", "Signing in", "spaces/someone/phi-playground?duplicate=true"]
    places = [pair.sentence.index(way) for way in ways]
    assert places == sorted(places)
