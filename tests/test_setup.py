"""Setting up: the exact pins, what `make run` and `make full` install, PyTorch without CUDA."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path

import pytest

from tests.pins import ROOT, written
from tools import install

# Stands for `.venv/bin/python`: writes down what it is asked, and installs or not.
PYTHON = """#!/bin/sh
test "$1" = tools/install.py || { echo "$1" >> asked; exit; }
echo "$2" >> asked
test -e offline && exit 1
test "$2" = full -a -e no-pytorch || touch "$3"
"""


@pytest.mark.parametrize(
    "name",
    [
        "requirements-light.txt",
        "requirements.txt",
        "tests/requirements.txt",
        "tests/requirements-alone.txt",
        "tests/requirements-engines.txt",
        "tests/requirements-mcp.txt",
        "benchmarks/requirements.txt",
    ],
)
def test_every_version_is_exact_and_no_index_is_named(name: str) -> None:
    needed = [line for line in written(name) if line != "-r requirements-light.txt"]
    assert needed
    exact = re.compile(r"[\w.-]+(\[\w+\])?==[\d.]+(post\d+)?( ; .+)?")
    assert [line for line in needed if not exact.fullmatch(line)] == []


def test_what_is_installed_alone_lacks_nothing() -> None:
    """Its dependencies come with the page."""
    for pin in written("tests/requirements-alone.txt"):
        for needed in requires(pin.split("==")[0]) or ():
            if "extra ==" not in needed:
                assert version(re.split(r"[^\w.-]", needed)[0])


FILES = (
    *("Makefile", "requirements-light.txt", "requirements.txt", "tools/install.py"),
    *("tests/requirements.txt", "tests/requirements-alone.txt"),
    *("tests/requirements-engines.txt", "tests/requirements-mcp.txt"),
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what make looks at, with a Python that only takes notes."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def make(target: str, checkout: Path) -> list[str]:
    """What `make` asked of Python, in order: which part to install, which program to start."""
    (checkout / "asked").write_text("")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run(["make", target], cwd=checkout, env=environment, capture_output=True)
    return (checkout / "asked").read_text().split()


def change(checkout: Path, name: str) -> None:
    with (checkout / name).open("a") as requirements:
        requirements.write("one-more==1.0\n")


def test_make_run_installs_the_light_part_once(checkout: Path) -> None:
    assert make("run", checkout) == ["light", "app.py"]
    assert make("run", checkout) == ["app.py"]


def test_make_full_adds_the_rest_once(checkout: Path) -> None:
    make("run", checkout)
    assert make("full", checkout) == ["full"]
    assert make("full", checkout) == []


def test_make_run_installs_nothing_where_everything_is(checkout: Path) -> None:
    assert make("full", checkout) == ["light", "full"]
    assert make("run", checkout) == ["app.py"]
    assert make("full", checkout) == []


@pytest.mark.parametrize("target", ["test", "test-engines", "test-mcp", "lint", "bench", "dev"])
def test_who_works_on_it_gets_everything(target: str, checkout: Path) -> None:
    asked = make(target, checkout)
    assert asked[:2] == ["light", "full"]
    assert set(asked[2:]) == {"-m"}


@pytest.mark.parametrize("name", ["engines", "mcp"])
def test_what_few_tests_need_is_installed_once_and_beside_the_rest(
    name: str, checkout: Path
) -> None:
    make(f"test-{name}", checkout)
    (ready,) = (checkout / "build" / name).iterdir()
    assert make(f"test-{name}", checkout) == ["-m"], "the tests alone"
    change(checkout, f"tests/requirements-{name}.txt")
    assert make(f"test-{name}", checkout) == ["-m", "-m"], "pip, then the tests"
    assert not ready.exists()
    assert make("test", checkout) == ["-m", "-m"], "a browser, then the tests"


def test_changed_requirements_are_installed(checkout: Path) -> None:
    make("run", checkout)
    change(checkout, "requirements-light.txt")
    assert make("run", checkout) == ["light", "app.py"]
    assert make("run", checkout) == ["app.py"]
    change(checkout, "requirements.txt")
    assert make("run", checkout) == ["app.py"], "nothing of it is here"


def test_where_everything_is_everything_is_kept_up_to_date(checkout: Path) -> None:
    make("full", checkout)
    change(checkout, "requirements.txt")
    assert make("run", checkout) == ["full", "app.py"]
    change(checkout, "requirements-light.txt")
    assert make("run", checkout) == ["light", "full", "app.py"]
    assert make("run", checkout) == ["app.py"]


def test_an_installation_that_broke_off_is_taken_up_again(checkout: Path) -> None:
    (checkout / "offline").touch()
    assert make("run", checkout) == ["light"]
    (checkout / "offline").unlink()
    assert make("run", checkout) == ["light", "app.py"]


def test_the_page_starts_where_the_rest_broke_off(checkout: Path) -> None:
    make("run", checkout)
    (checkout / "offline").touch()
    assert make("full", checkout) == ["full"]
    assert make("run", checkout) == ["app.py"]
    (checkout / "offline").unlink()
    assert make("full", checkout) == ["full"]
    assert make("run", checkout) == ["app.py"]


def test_an_update_that_broke_off_is_taken_up_again(checkout: Path) -> None:
    make("full", checkout)
    change(checkout, "requirements.txt")
    (checkout / "offline").touch()
    assert make("run", checkout) == ["full"]
    (checkout / "offline").unlink()
    assert make("run", checkout) == ["full", "app.py"]
    assert make("run", checkout) == ["app.py"]


def test_without_pytorch_the_page_starts_and_make_full_tries_again(checkout: Path) -> None:
    (checkout / "no-pytorch").touch()
    assert make("full", checkout) == ["light", "full"]
    assert make("run", checkout) == ["app.py"]
    assert make("full", checkout) == ["full"]


class Machine:
    """A Linux machine without a card: where PyTorch runs after the given way, or never."""

    def __init__(self, patch: pytest.MonkeyPatch, runs_after: str | None, online: bool = True):
        self.done: list[str] = ["start"]
        self.asked: list[tuple[str, ...]] = []
        self.online = online
        patch.setattr(install.platform, "system", lambda: "Linux")
        patch.setattr(install, "has_nvidia_driver", lambda: False)
        patch.setattr(install, "built_for_this_machine", lambda pin: True)
        patch.setattr(install, "pip", self.pip)
        patch.setattr(install, "install_with_uv", lambda torch: self.done.append("uv"))
        patch.setattr(install, "install_other_dependencies", lambda: None)
        patch.setattr(install, "stand_in_for_cuda", lambda: self.done.append("stand-ins"))
        patch.setattr(install, "uninstall", lambda package: self.done.append("uninstall"))
        patch.setattr(install, "torch_runs", lambda torch: runs_after in self.done)

    def pip(self, *arguments: str, quiet: bool = False) -> bool:
        if any(argument.startswith("torch==") for argument in arguments):
            self.done.append("cpu build" if arguments[-1].endswith("+cpu") else "cuda build")
        else:
            self.asked.append(arguments)
        return self.online


WAYS = ["start", "cpu build", "uv", "cuda build", "stand-ins"]


@pytest.mark.parametrize("way", ["start", "cpu build", "uv", "stand-ins"])
def test_the_cheapest_pytorch_that_runs_is_kept(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, runs_after=way)
    assert install.main("full", str(tmp_path / "stamp")) == 0
    assert machine.done == WAYS[: WAYS.index(way) + 1]
    assert (tmp_path / "stamp").exists()


def test_without_pytorch_no_stamp_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(monkeypatch, runs_after=None)
    assert install.main("full", str(tmp_path / "stamp")) == 0
    assert machine.done == [*WAYS, "uninstall"]
    assert not (tmp_path / "stamp").exists()
    assert "the page works, but without Transformers" in capsys.readouterr().out


def test_the_light_part_is_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, runs_after=None)
    assert install.main("light", str(tmp_path / "stamp")) == 0
    assert machine.asked == [("--quiet", "-r", str(ROOT / "requirements-light.txt"))]
    assert machine.done == ["start"], "no PyTorch is looked for"
    assert (tmp_path / "stamp").exists()


def test_the_rest_changes_nothing_of_the_light_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(monkeypatch, runs_after="start")
    assert install.main("full", str(tmp_path / "stamp")) == 0
    ((_, *wanted, option, file),) = machine.asked
    assert [pin.partition("==")[0] for pin in wanted] == ["transformers", "safetensors"]
    assert (option, file) == ("-c", str(ROOT / "requirements-light.txt"))
    assert "Transformers works now" in capsys.readouterr().out


def test_where_pytorch_has_no_build_nothing_is_left_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(monkeypatch, runs_after=None)
    monkeypatch.setattr(install, "built_for_this_machine", lambda pin: "torch==" not in pin)
    assert install.main("full", str(tmp_path / "stamp")) == 0
    assert (machine.done, machine.asked) == (["start"], [])
    assert (tmp_path / "stamp").exists()
    assert "PyTorch has no build for this machine" in capsys.readouterr().out


def test_a_marker_says_for_which_machines_a_package_is_built() -> None:
    assert install.built_for_this_machine("torch==1.0")
    assert not install.built_for_this_machine('torch==1.0 ; sys_platform == "abacus"')
    assert install.heavy_pins()[0].startswith("torch==")


@pytest.mark.parametrize("part", ["light", "full"])
def test_without_a_network_the_installation_says_how_to_go_on(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Machine(monkeypatch, runs_after="start", online=False)
    assert install.main(part, str(tmp_path / "stamp")) == 1
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
