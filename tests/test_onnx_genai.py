"""ONNX Runtime GenAI: real weights in Microsoft's own layout are found, fetched and asked."""

import ast
import json
import os
import shutil
from pathlib import Path

import pytest

from backends import (
    REGISTRY,
    BadRequestError,
    Chunk,
    ContextLengthError,
    GenerationParams,
    ImagePart,
    Message,
    MissingDependencyError,
    ModelNotFoundError,
    OutOfMemoryError,
    TextPart,
)
from backends._local import onnx_text
from backends._local.host import HOST
from backends.onnx_genai import BUILDS
from tests.hub import Hub

pytest.importorskip("onnxruntime_genai")
pytestmark = pytest.mark.usefixtures("no_models")
BACKEND = REGISTRY["onnx_genai"]
POCKET = Path(onnx_text.__file__).parents[1] / "pocket" / "models" / "pocket-3.5"
PHI, MINI_128K, MINI_4K = BUILDS[:3]
GREEDY = GenerationParams(temperature=0.0)
QUESTION = (Message.of("user", "What is a mixture of experts?"),)


def lay_out(folder: Path) -> Path:
    """Pocket-3.5 as Microsoft lays a model out: everything in one folder."""
    folder.mkdir(parents=True)
    for file in (*(POCKET / "onnx").iterdir(), *POCKET.glob("*token*"), *POCKET.glob("*.jinja")):
        os.link(file, folder / file.name)
    return folder


def here(build, root: Path) -> Path:
    return lay_out(root / "models" / build.repository / build.folder)


async def text_of(model: str, messages=QUESTION, params=GREEDY) -> str:
    steps = [step async for step in BACKEND.stream(model, messages, params)]
    return "".join(step.text for step in steps if isinstance(step, Chunk))


async def test_what_is_not_here_is_a_download_with_its_size() -> None:
    health = await BACKEND.check()
    assert (health.status.state, health.status.code) == ("not installed", "no_weights")
    assert [offer.model for offer in health.offers] == [build.repository for build in BUILDS]
    assert {offer.status.code for offer in health.offers} == {"not_downloaded"}
    assert health.offers[0].download_size == 2_780_000_000
    with pytest.raises(MissingDependencyError, match="is not on this machine"):
        await text_of(PHI.repository)
    with pytest.raises(ModelNotFoundError):
        await text_of("microsoft/no-such-model")


async def test_a_folder_in_microsofts_layout_is_found_and_answers(tmp_path: Path) -> None:
    here(PHI, tmp_path)
    health = await BACKEND.check()
    assert health.status.ready and health.offers[0].model == PHI.repository
    assert health.offers[0].spec.key == "phi-3.5-mini" and health.offers[0].download_size is None
    answer = await text_of(PHI.repository)
    assert answer.startswith("In a **mixture of experts** (MoE) a router sends each token")


async def test_a_folder_of_ones_own_is_offered_by_its_path(tmp_path: Path) -> None:
    lay_out(tmp_path / "models" / "mine" / "my-phi")
    offer = (await BACKEND.check()).offers[0]
    assert offer.model == "mine/my-phi" and offer.status.ready
    assert "mixture of experts" in await text_of("mine/my-phi")


@pytest.mark.parametrize("lost", ["model.onnx", "model.onnx.data", "genai_config.json"])
async def test_half_a_folder_is_not_offered(tmp_path: Path, lost: str) -> None:
    (here(PHI, tmp_path) / lost).unlink()
    assert not (await BACKEND.check()).status.ready


@pytest.mark.parametrize("broken", ["model.onnx.data", "model.onnx", "tokenizer.json"])
async def test_broken_files_are_said_in_a_sentence(tmp_path: Path, broken: str) -> None:
    file = here(PHI, tmp_path) / broken
    file.unlink()
    file.write_bytes(b"no such thing")
    with pytest.raises(MissingDependencyError, match="damaged or incomplete") as caught:
        await text_of(PHI.repository)
    assert "download the model again" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "brandnew"}, "is no text model that this ONNX Runtime GenAI knows"),
        ({"type": "whisper"}, "is no text model that this ONNX Runtime GenAI knows"),
        ({"provider": "cuda"}, "is built for another kind of processor"),
        ({}, "has no chat template"),
    ],
)
async def test_a_folder_that_is_whole_but_does_not_run_here_says_why(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    folder = lay_out(tmp_path / "models" / "own")
    config = json.loads((folder / "genai_config.json").read_text())
    if "type" in change:
        config["model"]["type"] = change["type"]
    if "provider" in change:
        options = {"provider_options": [{change["provider"]: {}}]}
        config["model"]["decoder"]["session_options"] = options
    (folder / "genai_config.json").unlink()  # a link to the built-in one
    (folder / "genai_config.json").write_text(json.dumps(config))
    if not change:
        (folder / "chat_template.jinja").unlink()
    with pytest.raises(MissingDependencyError, match=said):
        await text_of("own")


async def test_a_download_fetches_the_one_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay_out(tmp_path / "served")
    files = {f"{PHI.folder}/{file.name}": file.read_bytes() for file in folder.iterdir()}
    others = {"gpu/gpu-int4/model.onnx": b"x", "README.md": b"x", f"{PHI.folder}/run.py": b"x"}
    hub = Hub(PHI.repository, files | others)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    try:
        async for step in BACKEND.download(PHI.repository):
            assert step.stage == "downloading"
    finally:
        hub.close()
    assert {name for name, _ in hub.asked} == set(files)
    assert "mixture of experts" in await text_of(PHI.repository)


async def test_phi_3_mini_4k_keeps_to_half_of_its_context(tmp_path: Path) -> None:
    here(MINI_4K, tmp_path)
    long = (Message.of("user", "word " * 3000),)
    with pytest.raises(ContextLengthError, match="2,047"):
        await text_of(MINI_4K.repository, long)


async def test_an_answer_ends_where_the_context_does(tmp_path: Path) -> None:
    here(PHI, tmp_path)
    words = 4000
    while True:  # as many words as leave a little room
        try:
            steps = BACKEND.stream(PHI.repository, (Message.of("user", "a " * words),), GREEDY)
            ended = [step async for step in steps][-1]
            break
        except ContextLengthError as error:
            words -= 1 + (int(str(error.values["tokens"])) - 4090) // 2
    assert isinstance(ended, Chunk) and ended.usage and ended.usage.input_tokens
    assert ended.usage.input_tokens + (ended.usage.output_tokens or 0) <= 4096


async def test_pictures_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    here(PHI, tmp_path)
    picture = (Message("user", (ImagePart(b"x", "image/png"), TextPart("What is it?"))),)
    with pytest.raises(BadRequestError, match="reads text only"):
        await text_of(PHI.repository, picture)
    assert not [key for key in HOST.loaded() if str(tmp_path) in key]


def test_a_conversation_that_memory_cannot_hold_is_refused_with_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = onnx_text.plan("Pocket-3.5", str(POCKET / "onnx")).load(lambda done: None)
    monkeypatch.setattr(onnx_text, "free_memory", lambda: 1000)
    with pytest.raises(OutOfMemoryError, match="0 MB is free"):
        model.sessions.lease([1, 2, 3], 4000, 4096).__enter__()


def test_the_logits_do_not_hang_on_how_a_prompt_is_cut() -> None:
    """Of a prompt in one feed, in pieces, and after a rewind: float32, in another order."""
    model = onnx_text.plan("Pocket-3.5", str(POCKET / "onnx")).load(lambda done: None)
    tokens = model.text.encode(QUESTION) * 20

    def fed(*cuts: int):
        with model.sessions.lease(None, 1000, 4096) as lease:
            for start, end in zip((0, *cuts), (*cuts, len(tokens)), strict=True):
                output = lease.session.feed(tokens[start:end])
            return output.logits

    whole = fed()
    assert abs(fed(7, 50, 51) - whole).max() < 1e-3
    with model.sessions.lease(None, 1000, 4096) as lease:
        lease.session.feed(tokens + tokens[:5])
        assert lease.session.rewind(len(tokens) - 3)
        assert abs(lease.session.feed(tokens[-3:]).logits - whole).max() < 1e-3


def test_a_snippet_is_a_program_that_answers_alike(tmp_path: Path, monkeypatch, capfd) -> None:
    program = BACKEND.snippet(PHI.repository, QUESTION, GREEDY)
    assert program and "Fetch it first: hf download microsoft/Phi-3.5-mini-instruct-onnx" in (
        program.replace("\n# ", " ")
    )
    lay_out(tmp_path / PHI.folder)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "snippet", "exec"), {})
    assert capfd.readouterr().out.strip().startswith("In a **mixture of experts** (MoE) a router")


async def test_no_connection_is_tried(tmp_path: Path) -> None:
    """Both libraries have telemetry on by default: the worker that answers opens no socket."""
    import psutil

    here(PHI, tmp_path)
    await text_of(PHI.repository)
    (key,) = [key for key in HOST.loaded() if str(tmp_path) in key]
    process = psutil.Process(HOST._models[key].worker.process.pid)
    assert process.environ()["ORT_DISABLE_TELEMETRY"] == "1"
    assert process.net_connections() == []


def test_a_configuration_that_says_nonsense_is_damaged(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(POCKET / "onnx", tmp_path / "onnx"))
    for text in ("", "[]", json.dumps({"model": {}}), json.dumps({"model": {"decoder": 3}})):
        (folder / "genai_config.json").write_text(text)
        with pytest.raises(MissingDependencyError):
            onnx_text.plan("Mine", str(folder))


def test_a_snippet_puts_the_system_text_where_the_template_keeps_it(tmp_path: Path) -> None:
    """Phi-3-mini's template has no place for it, and would drop it silently."""
    folder = here(MINI_128K, tmp_path)
    (folder / "chat_template.jinja").unlink()
    template = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    talk = (Message.of("system", "Be brief."), *QUESTION)
    program = BACKEND.snippet(MINI_128K.repository, talk, GREEDY)
    assert program
    asked = program.partition("messages = ")[2].partition("\nprompt = ")[0]
    assert [(one["role"], one["content"]) for one in ast.literal_eval(asked)] == [
        ("user", f"Be brief.\n\n{QUESTION[0].text}")
    ]
