"""Setting up: the exact pins, a `make run` that installs once, PyTorch without CUDA."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path

import pytest

from tools import install

ROOT = Path(__file__).resolve().parent.parent

# Stands for `.venv/bin/python`: writes down what it is asked, and installs or not.
PYTHON = """#!/bin/sh
echo "$1" >> asked
case "$1" in tools/install.py) test -e offline && exit 1; touch "$2";; esac
"""


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "tests/requirements.txt",
        "tests/requirements-alone.txt",
        "benchmarks/requirements.txt",
    ],
)
def test_every_version_is_exact_and_no_index_is_named(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    needed = [line for line in lines if line and not line.startswith("#")]
    assert needed
    assert [line for line in needed if line.count("==") != 1 or line.startswith("-")] == []


def test_what_is_installed_alone_lacks_nothing() -> None:
    """Its dependencies come with the page."""
    lines = (ROOT / "tests" / "requirements-alone.txt").read_text(encoding="utf-8").splitlines()
    for pin in (line for line in lines if line and not line.startswith("#")):
        for needed in requires(pin.split("==")[0]) or ():
            if "extra ==" not in needed:
                assert version(re.split(r"[^\w.-]", needed)[0])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what `make run` looks at, with a Python that only takes notes."""
    for name in ("Makefile", "requirements.txt", "tools/install.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def make_run(checkout: Path) -> list[str]:
    """What `make run` asked of Python, in order."""
    (checkout / "asked").write_text("")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run(["make", "run"], cwd=checkout, env=environment, capture_output=True)
    return (checkout / "asked").read_text().split()


def test_the_second_make_run_installs_nothing(checkout: Path) -> None:
    assert make_run(checkout) == ["tools/install.py", "app.py"]
    assert make_run(checkout) == ["app.py"]


def test_changed_requirements_are_installed(checkout: Path) -> None:
    make_run(checkout)
    with (checkout / "requirements.txt").open("a") as requirements:
        requirements.write("one-more==1.0\n")
    assert make_run(checkout) == ["tools/install.py", "app.py"]
    assert make_run(checkout) == ["app.py"]


def test_an_installation_that_broke_off_is_taken_up_again(checkout: Path) -> None:
    (checkout / "offline").touch()
    assert make_run(checkout) == ["tools/install.py"]
    (checkout / "offline").unlink()
    assert make_run(checkout) == ["tools/install.py", "app.py"]


class Machine:
    """A Linux machine without a card: where PyTorch runs after the given way, or never."""

    def __init__(self, patch: pytest.MonkeyPatch, runs_after: str | None, online: bool = True):
        self.done: list[str] = ["start"]
        self.online = online
        patch.setattr(install.platform, "system", lambda: "Linux")
        patch.setattr(install, "has_nvidia_driver", lambda: False)
        patch.setattr(install, "pip", self.pip)
        patch.setattr(install, "install_with_uv", lambda torch: self.done.append("uv"))
        patch.setattr(install, "install_light_dependencies", lambda: None)
        patch.setattr(install, "stand_in_for_cuda", lambda: self.done.append("stand-ins"))
        patch.setattr(install, "uninstall", lambda package: self.done.append("uninstall"))
        patch.setattr(install, "torch_runs", lambda torch: runs_after in self.done)

    def pip(self, *arguments: str, quiet: bool = False) -> bool:
        if "-r" not in arguments:
            self.done.append("cpu build" if arguments[-1].endswith("+cpu") else "cuda build")
        return self.online


WAYS = ["start", "cpu build", "uv", "cuda build", "stand-ins"]


@pytest.mark.parametrize("way", ["start", "cpu build", "uv", "stand-ins"])
def test_the_cheapest_pytorch_that_runs_is_kept(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, runs_after=way)
    assert install.main(str(tmp_path / "stamp")) == 0
    assert machine.done == WAYS[: WAYS.index(way) + 1]
    assert (tmp_path / "stamp").exists()


def test_without_pytorch_the_page_starts_and_the_next_run_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(monkeypatch, runs_after=None)
    assert install.main(str(tmp_path / "stamp")) == 0
    assert machine.done == [*WAYS, "uninstall"]
    assert not (tmp_path / "stamp").exists()
    assert "the page works, but without models on this machine" in capsys.readouterr().out


def test_without_a_network_the_installation_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Machine(monkeypatch, runs_after="start", online=False)
    assert install.main(str(tmp_path / "stamp")) == 1
    assert not (tmp_path / "stamp").exists()
    assert "it goes on from here" in capsys.readouterr().out


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty place for packages, with PyTorch's own libraries in it."""
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    (tmp_path / "torch" / "lib" / "libc10.so").write_text("PyTorch's smallest")
    monkeypatch.setattr(install.sysconfig, "get_path", lambda name: str(tmp_path))
    yield tmp_path


def test_stand_ins_leave_a_real_library_alone(packages: Path) -> None:
    real = packages / "torch" / "lib" / "libnccl.so.2"
    real.write_text("NVIDIA's")
    install.stand_in_for_cuda()
    install.stand_in_for_cuda()
    assert real.read_text() == "NVIDIA's"
    others = {real.parent / name for name in install.CUDA_LIBRARIES} - {real}
    assert {path.read_text() for path in others} == {"PyTorch's smallest"}
