"""The Hugging Face Spaces: each kind is assembled, started as a Space, and compares two models."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import SpaceHardware
from playwright.async_api import BrowserContext

from backends import MODELS, REGISTRY
from backends import zerogpu as zerogpu_backend
from tests.browser import SLOWDOWN
from tests.pages import Visitor, column_of, free_port, line_of
from tests.pins import pins
from tests.real_server import BUSY, wait_until_up
from tests.zerogpu import DeviceApi, environment

ROOT = Path(__file__).resolve().parent.parent
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
"""Seconds that a busy machine may take for what a free one does in five."""

# On a Space, Gradio's page asks for Google's fonts and for the Space's entry on the Hub. Our
# response headers stop both before they leave the browser.
GRADIOS_OWN = ("fonts.googleapis.com", "huggingface.co/api/spaces", "Space not found")


KINDS = ("zerogpu", "cpu", "gpu")
every_kind = pytest.mark.parametrize("kind", KINDS)

BARE = """
import runpy, sys
sys.modules["torch"] = None  # see `tests.zerogpu`
import spaces
del sys.modules["torch"]
sys.argv[0] = "app.py"
runpy.run_path("app.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What would be uploaded, by kind."""
    made: dict[str, Path] = {}
    for kind in KINDS:
        made[kind] = tmp_path_factory.mktemp("upload") / kind
        options = [f"KIND={kind}", f"SPACE={made[kind]}", "OWNER=someone"]
        subprocess.run(["make", "--silent", "space", *options], cwd=ROOT, check=True)
    return made


@pytest.fixture(scope="module")
def folder(folders: dict[str, Path]) -> Path:
    return folders["zerogpu"]


@contextmanager
def started(folder: Path, log: Path, more: Mapping[str, str], *, bare: bool) -> Iterator[str]:
    """The address of a folder's own page, started as a Space starts it."""
    port = free_port()
    environment = os.environ | {
        "SYSTEM": "spaces",
        "SPACE_ID": "someone/phi-playground",
        "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }
    program = ["-c", BARE] if bare else ["app.py"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *program, "--port", str(port)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_up(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(30)
        with suppress(ProcessLookupError):  # what was forked off it waits for calls for ever
            os.killpg(process.pid, signal.SIGKILL)
    # The `spaces` package complains of its own reload server; our own files must not appear.
    assert f'File "{folder}' not in log.read_text()


@pytest.fixture(scope="module")
def api() -> Iterator[DeviceApi]:
    """The platform's side of ZeroGPU."""
    one = DeviceApi()
    yield one
    one.close()


@pytest.fixture(scope="module")
def zerogpu(
    folder: Path, api: DeviceApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a ZeroGPU Space; the Pockets lie where the real models would be preloaded."""
    home = tmp_path_factory.mktemp("home")
    with started(folder, home / "space.log", environment(api.url, home), bare=True) as address:
        yield address


@every_kind
def test_the_folder_holds_the_program_and_nothing_else(folders, kind: str) -> None:
    folder = folders[kind]
    names = {path.name for path in folder.iterdir()}
    program = {"app.py", "backends", "playground", "recordings", "ui"}
    assert names == program | {"LICENSE", "README.md", "requirements.txt"}
    assert not list(folder.rglob("__pycache__"))
    # A file over 10 MB would need an account with large-file storage.
    assert max(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= 9_000_000


def test_the_folder_writes_programs(folder: Path) -> None:
    code = (
        "from backends import REGISTRY, GenerationParams, Message\n"
        "hello, params = [Message.of('user', 'Hello')], GenerationParams()\n"
        "models = {'pocket': 'pocket-3', 'ollama': 'phi3', 'azure_foundry': 'Phi-4'}\n"
        "for name, model in models.items():\n"
        "    print(REGISTRY[name].snippet(model, hello, params))\n"
    )
    printed = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    for call in ("model.generate(", "client.chat(", "client.chat.completions.create("):
        assert call in printed


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    """The card's front matter, and its text."""
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


@every_kind
def test_the_card_is_one_that_the_hub_accepts(folders, kind: str) -> None:
    card, text = card_of(folders[kind])
    assert card["sdk"] == "gradio"
    assert card["sdk_version"] == pins("requirements.txt")["gradio"]
    hardware = {"zerogpu": "zero-a10g", "cpu": "cpu-basic", "gpu": "l4x1"}[kind]
    assert card["suggested_hardware"] == hardware
    assert hardware in {one.value for one in SpaceHardware}
    if kind == "zerogpu":
        assert card["python_version"] in ("3.12.12", "3.10.13"), "those that ZeroGPU has"
    assert (folders[kind] / card["app_file"]).is_file()
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS
    assert len(card["short_description"]) <= 60, "the Hub cuts it there"
    assert card["hf_oauth"] is True and card["hf_oauth_scopes"] == ["inference-api"]
    of_owner = "https://huggingface.co/spaces/someone/phi-playground/resolve/main/"
    assert (folders[kind] / card["thumbnail"].removeprefix(of_owner)).is_file()
    assert "not Microsoft models" in text and "What happens to your prompt" in text
    assert "The real Phi models" in text


@every_kind
def test_what_is_preloaded_is_what_the_page_looks_for(folders, kind: str) -> None:
    card, _ = card_of(folders[kind])
    preloaded = {one.split(" ")[0]: one.split(" ")[1:] for one in card["preload_from_hub"]}
    assert preloaded.keys() == set(card["models"])
    for repository, (names, *commit) in preloaded.items():
        files = names.split(",")
        build = REGISTRY["onnx_genai"].build(repository)  # type: ignore[attr-defined]
        if build:
            assert {Path(name).parent.as_posix() for name in files} == {build.folder}
            wanted = {"genai_config.json", "tokenizer.json", "tokenizer_config.json"}
            assert wanted <= {Path(name).name for name in files}
            (graph,) = (name for name in files if name.endswith(".onnx"))
            assert f"{graph}.data" in files
            continue
        assert REGISTRY["transformers"].spec(repository)  # type: ignore[attr-defined]
        assert re.fullmatch("[0-9a-f]{40}", *commit), "another revision may change what is told"
        shards = [f"model-{n:05}-of-00002.safetensors" for n in (1, 2)]
        assert {*shards, "model.safetensors.index.json", "config.json", "tokenizer.json"} <= {
            *files
        }
        assert not [name for name in files if name.endswith((".py", ".bin"))], "no code of others"
    if kind != "cpu":
        models = (MODELS[key].hub_id for key in (*zerogpu_backend.AT_START, "phi-3.5-vision"))
        assert set(models) <= preloaded.keys()
    assert ("microsoft/Phi-3.5-mini-instruct-onnx" in preloaded) == (kind != "gpu")


@every_kind
def test_the_spaces_pins_are_those_of_the_program(folders, kind: str) -> None:
    home = pins("requirements.txt", machine="Linux")
    away = pins(str(folders[kind] / "requirements.txt"))
    del home["gradio"], home["pydantic"]  # both come with the Space
    tested = pins("tests/requirements.txt")  # the sign-in, which only a Space has
    for name in ("authlib", "itsdangerous"):
        assert away.pop(name) == tested[name]
    del home["packaging"]  # for `make full` alone
    assert ("spaces" in away) == (kind == "zerogpu")
    away.pop("spaces", None)
    if kind == "zerogpu":
        del home["torch"]
        assert tuple(map(int, away.pop("torch").split("."))) <= (2, 11, 0), "the newest by name"
    if kind == "cpu":
        for name in ("torch", "transformers", "safetensors"):
            del home[name]
    assert away == home


def test_a_kind_that_there_is_not_is_said() -> None:
    done = subprocess.run(
        ["make", "--silent", "space", "KIND=tpu"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode and "zerogpu, cpu or gpu" in done.stdout


def test_our_folder_does_not_hide_the_spaces_package() -> None:
    code = "import spaces; print(spaces.GPU.__name__, spaces.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert found.stdout.startswith("GPU ")
    assert "site-packages" in found.stdout


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
async def test_two_pockets_are_compared_on_a_space(
    folders, kind: str, tmp_path: Path, context: BrowserContext
) -> None:
    context.set_default_timeout(BUSY * SLOWDOWN * 1000)
    with started(folders[kind], tmp_path / "space.log", {}, bare=False) as space:
        visitor = Visitor(await context.new_page(), space)
        await visitor.open("?a=pocket/pocket-3&b=pocket/pocket-3.5")
        await answered(visitor)
        assert [f for f in visitor.faults if not any(own in f for own in GRADIOS_OWN)] == []


async def answered(visitor: Visitor) -> None:
    """Ask the lesson's first question; both sides answer, with numbers."""
    await visitor.ask("What is a small language model?")
    for side in ("a", "b"):
        await visitor.sees(column_of(side), "language model")
        await visitor.sees(line_of(side), "tok")
    await visitor.finished()


@pytest.mark.asyncio(loop_scope="session")
async def test_two_models_are_compared_on_a_gpu_that_is_lent(
    zerogpu: str, api: DeviceApi, context: BrowserContext
) -> None:
    context.set_default_timeout(BUSY * SLOWDOWN * 1000)
    visitor = Visitor(await context.new_page(), zerogpu)
    await visitor.open("?temperature=0")
    for side, name in (("a", "Phi-3-mini-128k"), ("b", "Phi-3.5-mini")):
        await visitor.sees("#text-opening", "On this Space's GPU: 2 minutes a day")
        assert await visitor.page.locator(f"#text-model-{side} input").input_value() == name
    before = len(api.of("/schedule"))
    await answered(visitor)
    assert len(api.of("/schedule")) == before + 1, "both sides share one loan"
    for side in ("a", "b"):
        await visitor.sees(line_of(side), "shared")
    assert [f for f in visitor.faults if not any(own in f for own in GRADIOS_OWN)] == []


@pytest.mark.asyncio(loop_scope="session")
async def test_a_visitor_without_quota_reads_the_ways_out(
    zerogpu: str, api: DeviceApi, context: BrowserContext
) -> None:
    context.set_default_timeout(BUSY * SLOWDOWN * 1000)
    visitor = Visitor(await context.new_page(), zerogpu)
    await visitor.open()
    api.refusal = 429, {"left": 3, "wait": 3600}, "quota-exceeded"
    try:
        await visitor.ask("What is a small language model?")
        for side in ("a", "b"):
            await visitor.sees(column_of(side), "choose ONNX Runtime")
        await visitor.finished()
    finally:
        api.refusal = None
    assert await visitor.prompt() == "What is a small language model?", "nothing is lost"
