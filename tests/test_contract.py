"""What every backend owes: facts, imports without its packages, ids in the catalog, clear words."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from backends import (
    MODELS,
    REGISTRY,
    Backend,
    GenerationParams,
    Message,
    MissingDependencyError,
    ModelNotFoundError,
)
from playground.answer import Request
from playground.compare import complete

ROOT = Path(__file__).parent.parent

every_backend = pytest.mark.parametrize("backend", REGISTRY.values(), ids=REGISTRY)
LOCAL = {key: backend for key, backend in REGISTRY.items() if backend.kind == "local"}
every_local_backend = pytest.mark.parametrize("backend", LOCAL.values(), ids=LOCAL)


def test_there_are_backends() -> None:
    assert {"pocket", "transformers"} <= set(REGISTRY)


@every_backend
def test_its_facts_are_filled_in(backend: Backend) -> None:
    assert REGISTRY[backend.id] is backend
    assert backend.label and backend.kind in ("local", "server", "hosted")
    assert backend.max_concurrent >= 1
    assert not backend.requires or backend.install.startswith(("pip install", "make full"))
    assert type(backend).__doc__
    # A visitor of a public page sets no variable; its card names them where somebody can.
    assert not re.search(r"[A-Z]+_[A-Z]+", backend.help)


@every_backend
async def test_its_models_are_in_the_catalog(backend: Backend, monkeypatch) -> None:
    monkeypatch.setattr("backends._local.gguf.find", list)  # what lies on this machine may be any
    offers = (await backend.check()).offers
    assert offers or backend.accepts_custom_models
    assert len({offer.model for offer in offers}) == len(offers)
    for offer in offers:
        assert MODELS[offer.spec.key] is offer.spec
        assert offer.status.message
    ready = [offer.status.ready for offer in offers]
    assert ready == sorted(ready, reverse=True), "those that can be used now come first"


@every_backend
async def test_its_status_is_a_sentence(backend: Backend) -> None:
    status = (await backend.check()).status
    assert status.message.endswith((".", "transformers"))


@every_backend
async def test_what_needs_a_key_says_which(backend: Backend) -> None:
    status = (await backend.check()).status
    if status.state == "needs key":
        assert backend.key_env and backend.key_env in status.message


@every_backend
async def test_a_missing_package_names_its_install_line(backend: Backend, monkeypatch) -> None:
    monkeypatch.setattr(type(backend), "requires", ("a_package_that_is_not_there",))
    status = (await backend.check()).status
    assert status.state == "not installed" and backend.install in status.message
    stream = backend.stream("any", (Message.of("user", "Hi"),), GenerationParams())
    with pytest.raises(MissingDependencyError) as caught:
        await anext(stream)
    assert backend.install in caught.value.hint


@every_local_backend
async def test_an_unknown_model_is_said_so(backend: Backend, monkeypatch) -> None:
    monkeypatch.setattr(type(backend), "requires", ())  # whatever is installed
    stream = backend.stream("no-such-model", (Message.of("user", "Hi"),), GenerationParams())
    with pytest.raises(ModelNotFoundError) as caught:
        await anext(stream)
    assert "no-such-model" in str(caught.value)


def test_importing_backends_and_the_page_loads_no_engine() -> None:
    heavy = ("torch", "transformers", "openai", "ollama")
    code = (
        "import sys, backends, ui.page, app;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@every_backend
def test_it_has_a_row_in_the_readme(backend: Backend) -> None:
    rows = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "|" in line]
    assert any(f"`{backend.id}`" in row and backend.label in row for row in rows)


async def test_the_backend_that_the_readme_adds_in_ten_lines_works() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.split("## Add a backend in ten lines")[1]
    code = section.split("```python\n")[1].split("```")[0]
    exec(code, {"__name__": "backends.echo", "__package__": "backends"})
    try:
        messages = (Message.of("user", "Say this back"),)
        answer = await complete(Request(REGISTRY["echo"], "phi-3.5-mini", messages))
        assert (answer.state, answer.text, answer.clock.tokens) == ("done", "Say this back ", 3)
    finally:
        del REGISTRY["echo"]
