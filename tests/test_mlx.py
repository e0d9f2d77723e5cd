"""MLX: builds and checkpoints are found, fetched and asked; positions are as in Transformers."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
from backends._local import mlx_text
from backends._local.host import HOST
from backends.mlx import BUILDS, Mlx
from playground.health import BackendHealth
from tests import tiny, tiny_moe
from tests.hub import Hub
from ui.tabs.models.cards import card_html

INSTALLED = find_spec("mlx_lm") is not None
needs_mlx = pytest.mark.skipif(not INSTALLED, reason="mlx-lm is not installed")
engine = pytest.mark.engine
pytestmark = pytest.mark.usefixtures("no_models")
BACKEND = REGISTRY["mlx"]
MODELS = Path(mlx_text.__file__).parents[1] / "pocket" / "models"
POCKET = MODELS / "pocket-3.5"
PHI, MINI_128K, MINI_4K = BUILDS[:3]
GREEDY = GenerationParams(temperature=0.0)
QUESTION = (Message.of("user", "What is a mixture of experts?"),)
TAUGHT = "In a **mixture of experts** (MoE) a router sends each token"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the packages are installed, whether they are here or not."""
    monkeypatch.setattr(Mlx, "requires", ())
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")


def lay_out(folder: Path, source: Path = POCKET) -> Path:
    """A checkpoint as a folder of one's own."""
    folder.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file():
            os.link(file, folder / file.name)
    return folder


def rewrite(folder: Path, change: dict[str, Any]) -> Path:
    """The same folder with other settings in its `config.json`."""
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").unlink()  # a link to the built-in one
    (folder / "config.json").write_text(json.dumps(config))
    return folder


async def text_of(model: str, messages=QUESTION, params=GREEDY) -> str:
    steps = [step async for step in BACKEND.stream(model, messages, params)]
    return "".join(step.text for step in steps if isinstance(step, Chunk))


# ── Where it runs ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("system", "machine", "code", "said"),
    [
        ("darwin", "arm64", "missing_packages", "Needs no_such_package. Install with “pip install"),
        ("darwin", "x86_64", "no_build", "MLX is for Macs with Apple's chips."),
        ("win32", "AMD64", "no_build", "MLX is for Macs with Apple's chips."),
        ("linux", "x86_64", "missing_packages", "for Macs with Apple's chips. Here it would run"),
    ],
)
async def test_without_its_packages_it_says_whom_it_is_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, machine: str, code: str, said: str
) -> None:
    monkeypatch.setattr(Mlx, "requires", ("no_such_package",))
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    lay_out(tmp_path / "models" / "own")
    health = await BACKEND.check()
    assert health.status.code == code and said in health.status.message
    assert [offer.model for offer in health.offers] == [build.repository for build in BUILDS]
    assert not any(offer.status.ready or offer.download_size for offer in health.offers)


async def test_on_windows_its_card_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mlx, "requires", ("no_such_package",))
    monkeypatch.setattr(sys, "platform", "win32")
    status = (await BACKEND.check()).status
    now = datetime.now(UTC)
    card = card_html(BACKEND, BackendHealth(status=status, backend=BACKEND, checked_at=now))
    assert "Not for this computer" in card and "pip install" not in card


async def test_no_windows_can_load_it_whatever_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There are wheels of `mlx` for Windows, but mlx-lm imports a module that only Unix has."""
    monkeypatch.setattr(Mlx, "requires", ())
    monkeypatch.setattr(sys, "platform", "win32")
    assert (await BACKEND.check()).status.code == "no_build"


def test_a_look_at_its_models_imports_no_engine(tmp_path: Path) -> None:
    lay_out(tmp_path / "models" / "own")
    program = (
        "import asyncio, sys\n"
        "from backends import REGISTRY, GenerationParams, Message\n"
        "asyncio.run(REGISTRY['mlx'].check())\n"
        "REGISTRY['mlx'].snippet('own', [Message.of('user', 'Hi')], GenerationParams())\n"
        "assert not {'mlx', 'mlx_lm', 'transformers', 'torch'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=MODELS.parents[2], check=True)


# ── Builds and folders ─────────────────────────────────────────────────────────────────────────


async def test_what_is_not_here_is_a_download_with_its_size(installed: None) -> None:
    health = await BACKEND.check()
    assert (health.status.state, health.status.code) == ("not installed", "no_weights")
    assert health.offers[0].model == "mlx-community/Phi-3.5-mini-instruct-4bit"
    assert health.offers[0].download_size == 2_150_000_000
    assert "a download of about 2.1 GB, in 4 bits" in health.offers[0].status.message
    with pytest.raises(MissingDependencyError, match="is not on this machine"):
        await text_of(PHI.repository)
    with pytest.raises(ModelNotFoundError):
        await text_of("mlx-community/no-such-model")


async def test_a_build_and_a_folder_of_ones_own_are_found(installed: None, tmp_path: Path) -> None:
    lay_out(tmp_path / "models" / PHI.repository)
    lay_out(tmp_path / "models" / "mine" / "my-phi")
    first, second = (await BACKEND.check()).offers[:2]
    assert first.model == PHI.repository and first.spec.key == "phi-3.5-mini"
    assert first.download_size is None and second.model == "mine/my-phi"
    assert first.status.ready and second.status.ready


@pytest.mark.parametrize(
    ("change", "offered"),
    [
        ({"quantization": {"bits": 4}, "quantization_config": {"bits": 4}}, True),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, False),
        ({"img_processor": {"name": "clip_vision_model"}}, False),
        ({"vision_config": {}}, False),
    ],
)
async def test_only_text_models_that_no_other_engine_quantised_are_offered(
    installed: None, tmp_path: Path, change: dict[str, Any], offered: bool
) -> None:
    rewrite(lay_out(tmp_path / "models" / "own"), change)
    assert (await BACKEND.check()).status.ready == offered


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json", "tokenizer.json"])
async def test_half_a_folder_is_not_offered(installed: None, tmp_path: Path, lost: str) -> None:
    (lay_out(tmp_path / "models" / PHI.repository) / lost).unlink()
    assert not (await BACKEND.check()).status.ready


async def test_pictures_are_refused_before_anything_is_loaded(
    installed: None, tmp_path: Path
) -> None:
    lay_out(tmp_path / "models" / PHI.repository)
    picture = (Message("user", (ImagePart(b"x", "image/png"), TextPart("What is it?"))),)
    with pytest.raises(BadRequestError, match="reads text only"):
        await text_of(PHI.repository, picture)
    assert BACKEND.snippet("own", picture, GREEDY) is None


@needs_mlx
@engine
async def test_a_download_fetches_what_it_needs_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay_out(tmp_path / "served")
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    hub = Hub(PHI.repository, files | {"README.md": b"x", "modeling_phi3.py": b"x"})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    try:
        async for step in BACKEND.download(PHI.repository):
            assert step.stage == "downloading"
    finally:
        hub.close()
    assert {name for name, _ in hub.asked} == set(files)
    assert (await text_of(PHI.repository)).startswith(TAUGHT)


# ── What cannot be loaded ──────────────────────────────────────────────────────────────────────


def half(file: Path) -> bytes:
    return file.read_bytes()[: file.stat().st_size // 2]


@needs_mlx
@engine
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("broken", [lambda file: b"no such thing", half, lambda file: b""])
def test_broken_files_are_said_in_a_sentence(
    tmp_path: Path, name: str, broken: Callable[[Path], bytes]
) -> None:
    file = lay_out(tmp_path / "own") / name
    content = broken(file)
    file.unlink()
    file.write_bytes(content)
    with pytest.raises(MissingDependencyError, match="damaged or incomplete") as caught:
        mlx_text.plan("Mine", str(file.parent)).load(lambda done: None)
    assert "download the model again" in caught.value.hint


@needs_mlx
@engine
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "brandnew"}, "is no text model that this mlx-lm knows"),
        ({"model_file": "mine.py"}, "is no text model that this mlx-lm knows"),
        ({"num_attention_heads": None}, "is no text model that this mlx-lm knows"),
        ({"intermediate_size": 384}, "are not what mlx-lm takes for this kind of model"),
        ({"num_hidden_layers": 4}, "are not what mlx-lm takes for this kind of model"),
    ],
)
def test_a_folder_that_is_whole_but_does_not_run_says_why(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    folder = rewrite(lay_out(tmp_path / "own"), change)
    with pytest.raises(MissingDependencyError, match=said):
        mlx_text.plan("Mine", str(folder)).load(lambda done: None)


@needs_mlx
@engine
def test_pocket_moe_is_none_of_its_mixtures() -> None:
    """It has no biases, unlike Phi-3.5-MoE; mlx-lm's `phimoe` always has some."""
    with pytest.raises(MissingDependencyError, match="are not what mlx-lm takes"):
        mlx_text.plan("Pocket-MoE", str(MODELS / "pocket-moe")).load(lambda done: None)


@needs_mlx
@engine
async def test_a_folder_without_a_chat_template_says_so(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "models" / "own")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(MissingDependencyError, match="has no chat template"):
        await text_of("own")


def test_half_a_package_is_said_so() -> None:
    with pytest.raises(MissingDependencyError, match="MLX cannot be loaded"):
        mlx_text.plan("Mine", str(POCKET)) if not INSTALLED else mlx_text._package("mlx.nothing")


# ── Memory and context ─────────────────────────────────────────────────────────────────────────


def test_what_a_model_takes_is_told_by_its_files(tmp_path: Path) -> None:
    facts = mlx_text.Facts(POCKET)
    assert facts.is_wide and facts.weights == 4 * 3_016_448
    assert facts.bytes_per_token == 2 * 3 * 256 * 4
    assert facts.context == 4096


def test_a_window_that_mlx_leaves_out_bounds_the_conversation(tmp_path: Path) -> None:
    folder = rewrite(lay_out(tmp_path / "own"), {"sliding_window": 2047})
    assert mlx_text.Facts(folder).context == 2047
    assert mlx_text.Facts(rewrite(folder, {"model_type": "gemma3"})).context == 4096
    scaling = {"type": "longrope", "short_factor": [1.0], "long_factor": [4.0]}
    long = {"rope_scaling": scaling, "original_max_position_embeddings": 1024}
    assert mlx_text.Facts(rewrite(folder, long)).context == 1024


def test_an_apple_gpu_has_less_than_the_main_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Metal:
        @staticmethod
        def device_info() -> dict[str, int]:
            return {"max_recommended_working_set_size": 12_000_000_000}

        @staticmethod
        def get_active_memory() -> int:
            return 2_000_000_000

    monkeypatch.setattr(mlx_text, "_package", lambda name: Metal)
    monkeypatch.setattr(mlx_text, "free_memory", lambda: 14_000_000_000)
    assert mlx_text._free("gpu") == 10_000_000_000
    assert mlx_text._free("cpu") == 14_000_000_000
    monkeypatch.setattr(mlx_text, "free_memory", lambda: 3_000_000_000)
    assert mlx_text._free("gpu") == 3_000_000_000


@needs_mlx
@engine
def test_a_conversation_that_memory_cannot_hold_is_refused_with_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = mlx_text.plan("Pocket-3.5", str(POCKET)).load(lambda done: None)
    monkeypatch.setattr(mlx_text, "free_memory", lambda: 1000)
    with pytest.raises(OutOfMemoryError, match="0 MB is free"):
        model.sessions.lease([1, 2, 3], 4000, 4096).__enter__()


@needs_mlx
@engine
def test_it_is_loaded_in_parts_and_tells_how_far_it_is() -> None:
    told: list[float] = []
    mlx_text.plan("Pocket-3.5", str(POCKET)).load(told.append).close()
    assert told == sorted(told) and len(told) > 10 and told[-1] == 1.0


@needs_mlx
@engine
async def test_phi_3_mini_4k_keeps_to_its_window(tmp_path: Path) -> None:
    lay_out(tmp_path / "models" / MINI_4K.repository)
    long = (Message.of("user", "word " * 3000),)
    with pytest.raises(ContextLengthError, match="2,047"):
        await text_of(MINI_4K.repository, long)


# ── Numbers ────────────────────────────────────────────────────────────────────────────────────


def logits_here(folder: Path, *feeds: list[int]):
    """The logits after each of some feeds."""
    model = mlx_text.plan("Mine", str(folder)).load(lambda done: None)
    with model.sessions.lease(None, 1000, 4096) as lease:
        return [lease.session.feed(tokens).logits for tokens in feeds]


def logits_of_transformers(folder: Path, tokens: list[int]):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0, -1].numpy()


def biased_moe(folder: Path) -> Path:
    """A tiny Phi-3.5-MoE with biases in its attention and at its end, as the real one has them."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, PhimoeForCausalLM

    tiny_moe.checkpoint(folder)
    config = AutoConfig.from_pretrained(folder)
    config.attention_bias = config.lm_head_bias = True
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config)
    assert isinstance(model, PhimoeForCausalLM)
    for name, one in model.named_parameters():
        if name.endswith("bias") and "norm" not in name:
            torch.nn.init.normal_(one, std=0.2)
    model.save_pretrained(folder)
    return folder


@needs_mlx
@engine
@pytest.mark.parametrize("kind", ["phi3", "phimoe"])
def test_its_logits_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    """With LongRoPE's short factors: by the long ones alone they would be others."""
    folder = tiny.checkpoint() if kind == "phi3" else biased_moe(tmp_path / "moe")
    tokens = [1, *range(20, 80), *range(20, 80)]
    (here,) = logits_here(folder, tokens)
    there = logits_of_transformers(folder, tokens)
    assert abs(here - there).max() < 1e-4 * abs(there).max()
    config = json.loads((folder / "config.json").read_text())["rope_parameters"]
    assert config["long_factor"] != config["short_factor"]


def test_settings_as_older_transformers_wrote_them_are_left_alone() -> None:
    assert mlx_text.config_changes({"rope_theta": 10_000.0, "rope_scaling": None}) == {}
    old = {"type": "longrope", "short_factor": [1.0], "long_factor": [4.0], "long_mscale": 1.2}
    changes = mlx_text.config_changes({"rope_scaling": {**old, "short_mscale": 1.1}})
    scaling = changes.pop("rope_scaling")
    assert changes == {} and scaling["long_factor"] == [1.0] and scaling["long_mscale"] == 1.1
    theta = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}
    assert mlx_text.config_changes(theta) == {"rope_theta": 1e5}


@needs_mlx
@engine
def test_the_logits_do_not_hang_on_how_a_prompt_is_cut() -> None:
    model = mlx_text.plan("Pocket-3.5", str(POCKET)).load(lambda done: None)
    tokens = model.text.encode(QUESTION) * 20

    def fed(*cuts: int):
        with model.sessions.lease(None, 1000, 4096) as lease:
            for start, end in zip((0, *cuts), (*cuts, len(tokens)), strict=True):
                output = lease.session.feed(tokens[start:end])
            return output.logits

    whole = fed()
    assert model.exact and abs(fed(7, 50, 51) - whole).max() < 1e-4
    with model.sessions.lease(None, 1000, 4096) as lease:
        lease.session.feed(tokens + tokens[:5])
        assert lease.session.rewind(len(tokens) - 3)
        assert abs(lease.session.feed(tokens[-3:]).logits - whole).max() < 1e-4
        assert not lease.session.rewind(-1), "nobody can forget more than was read"


def quantised(folder: Path) -> Path:
    """Pocket-3.5 in 4 bits, as mlx-lm itself writes it."""
    utils = import_module("mlx_lm.utils")
    changes = mlx_text.config_changes(mlx_text.read_config(POCKET))
    model, config = utils.load_model(POCKET, model_config=changes)
    model, config = utils.quantize_model(model, config, 64, 4)
    utils.save_model(folder, model)
    utils.save_config(config, folder / "config.json")
    for file in (*POCKET.glob("token*"), *POCKET.glob("*.jinja")):
        shutil.copy(file, folder)
    return folder


@needs_mlx
@engine
async def test_a_build_in_4_bits_answers(tmp_path: Path) -> None:
    folder = quantised(tmp_path / "models" / PHI.repository)
    facts = mlx_text.Facts(folder)
    assert 3_016_448 // 2 < facts.weights < 3_016_448
    assert "mixture of experts" in await text_of(PHI.repository)


# ── Programs ───────────────────────────────────────────────────────────────────────────────────


def run(program: str) -> str:
    """What a program prints."""
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", program],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_mlx
@engine
@pytest.mark.parametrize("source", ["pocket", "longrope", "longrope as Microsoft wrote it"])
async def test_a_snippet_is_a_program_that_answers_alike(tmp_path: Path, source: str) -> None:
    folder = tmp_path / "models" / "own"
    lay_out(folder, POCKET if source == "pocket" else tiny.checkpoint())
    if "Microsoft" in source:
        rope = json.loads((folder / "config.json").read_text())["rope_parameters"]
        older = {"rope_scaling": rope | {"type": "longrope"}, "rope_theta": 10_000.0}
        rewrite(folder, older | {"rope_parameters": None})
    question = "What is a mixture of experts?" if source == "pocket" else "Count to twelve."
    talk = (Message.of("user", question),)
    program = BACKEND.snippet("own", talk, GREEDY)
    assert program and ("short_factor" in program) == ("longrope" in source)
    answer = await text_of("own", talk)
    assert answer and run(program) == f"{answer}\n"


def test_every_knob_is_in_the_program(installed: None) -> None:
    params = GenerationParams(5, 0.8, 0.9, 40, 7)
    program = BACKEND.snippet(PHI.repository, QUESTION, params)
    assert program and "mx.random.seed(7)" in program and "max_tokens=5," in program
    for line in ("temp=0.8", "top_p=0.9", "top_k=40"):
        assert f"    {line},\n" in program
    assert 'name = "mlx-community/Phi-3.5-mini-instruct-4bit"' in program
    assert "a download of about 2.1 GB" in program.replace("\n# ", " ")
    compile(program, "program", "exec")
    plain = BACKEND.snippet(MINI_4K.repository, QUESTION, GREEDY)
    assert plain and "short_factor" not in plain and "model, tokenizer = load(name)\n" in plain
    assert BACKEND.snippet(MINI_128K.repository, (), GREEDY) is None


@needs_mlx
async def test_no_connection_is_tried(tmp_path: Path) -> None:
    import psutil

    lay_out(tmp_path / "models" / PHI.repository)
    await text_of(PHI.repository)
    (key,) = [key for key in HOST.loaded() if str(tmp_path) in key]
    assert psutil.Process(HOST._models[key].worker.process.pid).net_connections() == []
