"""Fixtures that several test files use."""

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# Before Gradio is imported: the tests ask nothing of the outside.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Before PyTorch is: of matrices this small a second thread makes nothing faster, and while other
# programs run, cores that wait for each other at every layer make all of it many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.inline import inline  # noqa: F401
from tests.pages import browser, context, puppet, served, visitor  # noqa: F401
from tests.real_server import real_server  # noqa: F401
from tests.stub import stub  # noqa: F401

WHOLE_MODULE = "\npytestmark = pytest.mark.engine\n"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without the engine its modules are not even imported: that alone would load PyTorch."""
    without = "not engine" in config.option.markexpr and collection_path.suffix == ".py"
    return True if without and WHOLE_MODULE in collection_path.read_text("utf-8") else None


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by fixtures, also those of fixtures, so that no test can forget to."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "browser" in fixtures:
            item.add_marker("browser")
        if "real_server" in fixtures:
            item.add_marker("engine")


def pytest_collection_finish() -> None:
    """What was imported until now stays: no garbage collection need look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No model is on this machine, but what the test puts below `tmp_path`; none stays loaded."""
    from backends._local.host import HOST

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path / "models"))
    yield
    for key in HOST.loaded():
        if str(tmp_path) in key:
            HOST.unload(key)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test that loads PyTorch has to be marked: without the mark it is found here."""
    before = "torch" in sys.modules
    yield
    marked = any(item.iter_markers("engine")) or any(item.iter_markers("browser"))
    if "torch" in sys.modules and not before and not marked:
        pytest.fail("It loads PyTorch: mark it with `pytest.mark.engine`.")
