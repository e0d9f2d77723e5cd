"""The Hugging Face Space: its folder is assembled, started as a Space, and compares two Pockets."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.async_api import BrowserContext

from tests.browser import SLOWDOWN
from tests.pages import Visitor, column_of, free_port, line_of
from tests.pins import pins
from tests.real_server import BUSY, wait_until_up

ROOT = Path(__file__).resolve().parent.parent
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
"""Seconds that a busy machine may take for what a free one does in five."""

# On a Space, Gradio's page asks for Google's fonts and for the Space's entry on the Hub. Our
# response headers stop both before they leave the browser.
GRADIOS_OWN = ("fonts.googleapis.com", "huggingface.co/api/spaces", "Space not found")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be uploaded."""
    space = tmp_path_factory.mktemp("upload") / "space"
    subprocess.run(["make", "--silent", "space", f"SPACE={space}"], cwd=ROOT, check=True)
    return space


@pytest.fixture(scope="module")
def space(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the folder's own page, started as a Space starts it."""
    port = free_port()
    environment = os.environ | {
        "SYSTEM": "spaces",
        "SPACE_ID": "someone/phi-playground",
        "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = tmp_path_factory.mktemp("log") / "space.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_up(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(30)
    # The `spaces` package complains of its own reload server; our own files must not appear.
    assert f'File "{folder}' not in log.read_text()


def test_the_folder_holds_the_program_and_nothing_else(folder: Path) -> None:
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


def test_the_card_is_one_that_the_hub_accepts(folder: Path) -> None:
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["sdk"] == "gradio"
    assert card["sdk_version"] == pins("requirements.txt")["gradio"]
    assert card["python_version"] in ("3.12.12", "3.10.13"), "those that ZeroGPU has"
    assert (folder / card["app_file"]).is_file()
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS
    assert len(card["short_description"]) <= 60, "the Hub cuts it there"
    assert "not Microsoft models" in text


def test_the_spaces_pins_are_those_of_the_program() -> None:
    home, away = pins("requirements.txt", machine="Linux"), pins("spaces/requirements.txt")
    assert away.pop("spaces")
    tested = pins("tests/requirements.txt")  # the sign-in, which only a Space has
    for name in ("authlib", "itsdangerous"):
        assert away.pop(name) == tested[name]
    assert tuple(map(int, away.pop("torch").split("."))) <= (2, 11, 0), "the newest on ZeroGPU"
    del home["torch"], home["gradio"], home["pydantic"]  # both come with the Space
    del home["packaging"]  # for `make full` alone
    assert away == home


def test_our_folder_does_not_hide_the_spaces_package() -> None:
    code = "import spaces; print(spaces.GPU.__name__, spaces.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert found.stdout.startswith("GPU ")
    assert "site-packages" in found.stdout


@pytest.mark.asyncio(loop_scope="session")
async def test_two_pockets_are_compared_on_a_space(space: str, context: BrowserContext) -> None:
    context.set_default_timeout(BUSY * SLOWDOWN * 1000)
    visitor = Visitor(await context.new_page(), space)
    await visitor.open("?a=pocket/pocket-3&b=pocket/pocket-3.5")
    await visitor.ask("What is a small language model?")
    for side in ("a", "b"):
        await visitor.sees(column_of(side), "language model")
        await visitor.sees(line_of(side), "tok")
    await visitor.finished()
    assert [f for f in visitor.faults if not any(own in f for own in GRADIOS_OWN)] == []
