"""OpenVINO: models in the form that Optimum Intel exports are found, fetched and asked."""

import json
import os
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
import psutil
import pytest

from backends import (
    CONTEXT_CAP,
    MODELS,
    REGISTRY,
    Chunk,
    GenerationParams,
    Message,
    MissingDependencyError,
    ModelNotFoundError,
    OutOfMemoryError,
)
from backends._local import backend, openvino_devices, openvino_text
from backends._local.host import HOST
from backends.openvino import BUILDS, GPU_BUILDS, OpenVino
from tests.hub import Hub
from tests.openvino_pocket import needs_openvino, pocket

BACKEND = cast("OpenVino", REGISTRY["openvino"])
PHI = BUILDS[0]
GREEDY = GenerationParams(temperature=0.0)
QUESTION = (Message.of("user", "What is a mixture of experts?"),)
ARC = {"CPU": "Intel(R) Core(TM) Ultra", "GPU": "Intel(R) Arc(TM) Graphics (iGPU)"}


@pytest.fixture(autouse=True)
def installed(no_models: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the package is installed, whether it is here or not."""
    monkeypatch.setattr(type(BACKEND), "requires", ())
    has(monkeypatch, {"CPU": "a processor"})


def has(monkeypatch: pytest.MonkeyPatch, devices: dict[str, str]) -> None:
    monkeypatch.setattr(openvino_devices, "devices", lambda: devices)


def empty(folder: Path, *without: str) -> Path:
    """A folder as OpenVINO lays a model out, with nothing in its files."""
    folder.mkdir(parents=True)
    for name in {
        *("openvino_model.xml", "openvino_model.bin", "config.json"),
        *("tokenizer.json", "openvino_tokenizer.xml"),
    }.difference(without):
        (folder / name).touch()
    return folder


def here(root: Path, name: str = PHI.repository) -> Path:
    """Pocket-3.5 in the place of a model."""
    folder = root / "models" / name
    folder.mkdir(parents=True)
    for file in pocket().iterdir():
        os.link(file, folder / file.name)
    return folder


async def text_of(model: str, messages=QUESTION, params=GREEDY) -> str:
    steps = [step async for step in BACKEND.stream(model, messages, params)]
    return "".join(step.text for step in steps if isinstance(step, Chunk))


# What is offered


def test_each_build_is_of_a_model_that_the_page_knows() -> None:
    assert {build.key for build in BUILDS} <= MODELS.keys()
    assert all(1e9 < build.size < MODELS[build.key].weights_size for build in BUILDS)


async def test_what_is_not_here_is_a_download_with_its_size() -> None:
    health = await BACKEND.check()
    assert (health.status.state, health.status.code) == ("not installed", "no_weights")
    assert [offer.model for offer in health.offers] == [build.repository for build in BUILDS]
    assert health.offers[0].download_size == PHI.size and health.offers[0].bytes_per_token is None
    with pytest.raises(MissingDependencyError, match="is not on this machine"):
        await text_of(PHI.repository)
    with pytest.raises(ModelNotFoundError):
        await text_of("OpenVINO/no-such-model")


async def test_without_the_package_it_says_how_to_get_it(monkeypatch, tmp_path: Path) -> None:
    empty(tmp_path / "models" / PHI.repository)
    monkeypatch.setattr(type(BACKEND), "requires", ("openvino_that_is_not_here",))
    health = await BACKEND.check()
    assert {offer.status.code for offer in health.offers} == {"missing_packages"}
    assert "pip install openvino==" in health.status.message
    with pytest.raises(MissingDependencyError):
        await text_of(PHI.repository)


async def test_what_memory_cannot_hold_is_offered_as_too_large(monkeypatch) -> None:
    monkeypatch.setattr(backend, "total_memory", lambda: 3_000_000_000)
    (offer,) = [one for one in (await BACKEND.check()).offers if one.model == PHI.repository]
    assert offer.status.code == "too_large" and offer.memory == PHI.size + openvino_text.WORKSPACE


@pytest.mark.parametrize("lost", ["openvino_model.xml", "openvino_model.bin", "config.json"])
async def test_half_a_folder_is_not_offered(tmp_path: Path, lost: str) -> None:
    empty(tmp_path / "models" / PHI.repository, lost)
    assert not (await BACKEND.check()).status.ready


async def test_a_folder_whose_tokenizer_is_not_read_says_so(tmp_path: Path) -> None:
    empty(tmp_path / "models" / "mine", "tokenizer.json")
    empty(tmp_path / "models" / "neither", "tokenizer.json", "openvino_tokenizer.xml")
    offers = {offer.model: offer for offer in (await BACKEND.check()).offers}
    assert "has no tokenizer.json" in offers["mine"].status.message
    assert not offers["mine"].status.ready and "neither" not in offers
    with pytest.raises(MissingDependencyError, match=r"has no tokenizer\.json"):
        await text_of("mine")


async def test_a_gpu_is_offered_where_openvino_finds_one(monkeypatch, tmp_path: Path) -> None:
    has(monkeypatch, ARC)
    empty(tmp_path / "models" / PHI.repository)
    offers = {offer.model: offer for offer in (await BACKEND.check()).offers}
    assert set(offers) == {build.model for build in (*BUILDS, *GPU_BUILDS)}
    gpu = offers[f"{PHI.repository}/gpu"]
    assert gpu.status.ready and gpu.download_size is None and gpu.spec.key == PHI.key
    assert "for Intel(R) Arc(TM) Graphics (iGPU): not tried by us." in gpu.status.message
    assert "not tried" not in offers[PHI.repository].status.message
    model = BACKEND.local_model(f"{PHI.repository}/gpu")
    assert model.options["device"] == "GPU"
    assert model.key != BACKEND.local_model(PHI.repository).key
    has(monkeypatch, {"CPU": "a processor"})
    with pytest.raises(MissingDependencyError, match="finds no GPU"):
        BACKEND.local_model(f"{PHI.repository}/gpu")


@pytest.mark.parametrize("said", ["", "nonsense", None])
def test_devices_that_are_not_told_are_none(monkeypatch, said: str | None) -> None:
    def run(*of: object, **options: object) -> subprocess.CompletedProcess[str]:
        if said is None:
            raise subprocess.TimeoutExpired("python", 20)
        return subprocess.CompletedProcess([], 0, said)

    monkeypatch.undo()
    monkeypatch.setattr(openvino_devices, "find_spec", lambda name: object())
    monkeypatch.setattr(openvino_devices.subprocess, "run", run)
    assert openvino_devices.devices.__wrapped__() == {}


# What is said of files


def test_a_configuration_that_says_nonsense_is_damaged(tmp_path: Path) -> None:
    folder = empty(tmp_path / "model")
    for text in ("", "[]", "{}", json.dumps({"max_position_embeddings": "long"})):
        (folder / "config.json").write_text(text)
        with pytest.raises(MissingDependencyError, match="damaged or incomplete"):
            openvino_text.plan("Mine", str(folder))


def test_memory_is_asked_for_weights_and_conversations(tmp_path: Path) -> None:
    """Phi-3.5-mini's shape: 32 layers of 32 heads, 96 numbers of keys and of values each, in twice
    the room that float16 takes."""
    folder = empty(tmp_path / "model")
    config = {"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 3072}
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 131_072}))
    os.truncate(folder / "openvino_model.bin", 2_080_000_000)  # it takes no room on the disk
    plan = openvino_text.plan("Phi-3.5-mini", str(folder))
    assert plan.per_answer == 1536 * 2 * 32 * 32 * 96 * 4 and plan.device == "cpu"
    assert 2_080_000_000 + plan.per_answer < plan.need < PHI.size + openvino_text.WORKSPACE
    assert openvino_text.plan("Phi", str(folder), device="GPU").device == "gpu"


@needs_openvino
@pytest.mark.parametrize("broken", ["openvino_model.xml", "openvino_model.bin", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"no such thing"])
async def test_broken_files_are_said_in_a_sentence(
    tmp_path: Path, broken: str, content: bytes
) -> None:
    file = here(tmp_path) / broken
    file.unlink()
    file.write_bytes(content)
    with pytest.raises(MissingDependencyError, match="damaged or incomplete") as caught:
        await text_of(PHI.repository)
    assert "download the model again" in caught.value.hint


@needs_openvino
async def test_half_of_the_weights_is_damaged(tmp_path: Path) -> None:
    folder = here(tmp_path)
    whole = (folder / "openvino_model.bin").read_bytes()
    (folder / "openvino_model.bin").unlink()
    (folder / "openvino_model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MissingDependencyError, match="damaged or incomplete"):
        await text_of(PHI.repository)


@needs_openvino
async def test_a_folder_without_a_chat_template_says_so(tmp_path: Path) -> None:
    (here(tmp_path) / "chat_template.jinja").unlink()
    with pytest.raises(MissingDependencyError, match="has no chat template"):
        await text_of(PHI.repository)


@needs_openvino
async def test_a_model_without_states_says_how_to_export_it(tmp_path: Path) -> None:
    library, ops = import_module("openvino"), import_module("openvino.opset13")
    folder = here(tmp_path)
    ids = ops.parameter([-1, -1], np.int64)
    ids.output(0).set_names({"input_ids"})
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (folder / name).unlink()
    library.save_model(library.Model([ids], [ids]), folder / "openvino_model.xml")
    with pytest.raises(MissingDependencyError, match="as OpenVINO calls stateful") as caught:
        await text_of(PHI.repository)
    assert "text-generation-with-past" in caught.value.hint


@needs_openvino
async def test_a_device_that_is_not_there_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real library: the page lives, and answers by the processor."""
    has(monkeypatch, ARC | {"GPU.7": "None"})
    here(tmp_path)
    monkeypatch.setattr(openvino_devices, "gpu", lambda: ("GPU.7", "a GPU"))
    with pytest.raises(MissingDependencyError, match=r"on GPU\.7 on this computer") as caught:
        await text_of(f"{PHI.repository}/gpu")
    assert "\n" not in str(caught.value) and "driver" in caught.value.hint
    assert "mixture of experts" in await text_of(PHI.repository)


# Answers


@needs_openvino
async def test_a_folder_in_openvinos_layout_is_found_and_answers(tmp_path: Path) -> None:
    here(tmp_path)
    health = await BACKEND.check()
    assert health.status.ready and health.offers[0].model == PHI.repository
    assert health.offers[0].download_size is None
    answer = await text_of(PHI.repository)
    assert answer.startswith("In a **mixture of experts** (MoE) a router sends each token")


@needs_openvino
async def test_a_folder_of_ones_own_is_offered_by_its_path(tmp_path: Path) -> None:
    here(tmp_path, "mine/my-phi")
    offer = (await BACKEND.check()).offers[0]
    assert offer.model == "mine/my-phi" and offer.status.ready
    assert "mixture of experts" in await text_of("mine/my-phi")


@needs_openvino
async def test_a_download_fetches_the_model_and_what_its_text_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {file.name: file.read_bytes() for file in pocket().iterdir()}
    others = ("README.md", "modeling_phi3.py", "openvino_tokenizer.xml", "openvino_tokenizer.bin")
    hub = Hub(PHI.repository, files | dict.fromkeys(others, b"x"))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    try:
        async for step in BACKEND.download(PHI.repository):
            assert step.stage == "downloading"
    finally:
        hub.close()
    assert {name for name, _ in hub.asked} == set(files)
    assert "mixture of experts" in await text_of(PHI.repository)


@needs_openvino
def test_logits_hardly_hang_on_how_a_prompt_is_cut() -> None:
    """Of a prompt in one feed, in pieces, and after a rewind. Keys and values are in float16, of
    which a number has 11 bits: 0.05 is ten times what they were seen to change."""
    model = openvino_text.plan("Pocket-3.5", str(pocket())).load(lambda done: None)
    tokens = model.text.encode(QUESTION) * 20

    def fed(*cuts: int):
        with model.sessions.lease(None, 1000, CONTEXT_CAP) as lease:
            for start, end in zip((0, *cuts), cuts, strict=False):
                lease.session.feed(tokens[start:end])
            return lease.session.feed(tokens[cuts[-1] if cuts else 0 :]).logits

    whole = fed()
    assert whole.shape == (4096,) and abs(fed(7, 50, 51) - whole).max() < 0.05
    with model.sessions.lease(None, 1000, CONTEXT_CAP) as lease:
        lease.session.feed(tokens + tokens[:5])
        assert lease.session.rewind(len(tokens) - 3)
        assert abs(lease.session.feed(tokens[-3:]).logits - whole).max() < 0.05
        assert lease.session.rewind(0)
        assert abs(lease.session.feed(tokens).logits - whole).max() < 0.05


@needs_openvino
def test_a_conversation_that_memory_cannot_hold_is_refused_with_numbers(monkeypatch) -> None:
    model = openvino_text.plan("Pocket-3.5", str(pocket())).load(lambda done: None)
    monkeypatch.setattr(openvino_text, "free_memory", lambda: 1000)
    with pytest.raises(OutOfMemoryError, match="0 MB is free"):
        model.sessions.lease([1, 2, 3], 4000, CONTEXT_CAP).__enter__()


@needs_openvino
async def test_no_connection_is_tried(tmp_path: Path) -> None:
    """The package brings another one for telemetry: the worker that answers opens no socket."""
    here(tmp_path)
    await text_of(PHI.repository)
    (key,) = [key for key in HOST.loaded() if str(tmp_path) in key]
    process = psutil.Process(HOST._models[key].worker.process.pid)
    assert process.net_connections() == []


@needs_openvino
def test_devices_are_those_that_the_library_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert "CPU" in openvino_devices.devices()


# Programs


def test_a_snippet_says_what_the_request_is(tmp_path: Path) -> None:
    params = GenerationParams(64, 0.5, 0.9, 5, 7, ("###", "it's"))
    talk = (Message.of("system", "Be brief."), Message.of("user", "Say <|end|>"))
    program = BACKEND.snippet(PHI.repository, talk, params)
    assert program and "hf download OpenVINO/Phi-3.5-mini-instruct-int4-ov" in program
    called = {}

    class Pipeline:
        def __init__(self, folder: str, device: str) -> None:
            called.update(folder=folder, device=device)

        def generate(self, history: list, streamer, **knobs: object) -> None:
            called.update(knobs, messages=history)

    code = program.replace("import openvino_genai\n", "")
    fake = type("openvino_genai", (), {"LLMPipeline": Pipeline, "ChatHistory": list})
    exec(compile(code, "snippet", "exec"), {"openvino_genai": fake})
    assert called == {
        "folder": "Phi-3.5-mini-instruct-int4-ov",
        "device": "CPU",
        "max_new_tokens": 64,
        "do_sample": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "rng_seed": 7,
        "stop_strings": {"###", "it's"},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say <\u2060|end|>"},
        ],
    }
    assert '"GPU"' in (BACKEND.snippet(GPU_BUILDS[0].model, QUESTION, GREEDY) or "")


@needs_openvino
@pytest.mark.engine
async def test_a_snippet_is_a_program_that_answers_alike(
    tmp_path: Path, monkeypatch, capfd
) -> None:
    pytest.importorskip("openvino_genai")
    tokenizers = pytest.importorskip("openvino_tokenizers")
    transformers = pytest.importorskip("transformers")
    library = import_module("openvino")
    folder = Path(shutil.copytree(pocket(), tmp_path / "Phi-3.5-mini-instruct-int4-ov"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    models = tokenizers.convert_tokenizer(tokenizer, with_detokenizer=True)
    for name, model in zip(("tokenizer", "detokenizer"), models, strict=True):
        library.save_model(model, folder / f"openvino_{name}.xml")
    monkeypatch.chdir(tmp_path)
    program = BACKEND.snippet(PHI.repository, QUESTION, GREEDY)
    assert program
    exec(compile(program, "snippet", "exec"), {})
    assert capfd.readouterr().out.startswith("In a **mixture of experts** (MoE) a router")
