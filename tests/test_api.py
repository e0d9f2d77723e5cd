"""The public endpoints, as programs call them: exactly four, within the limits of the page."""

import asyncio
import json
import logging
import re
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from backends import REGISTRY
from backends.huggingface import HuggingFace
from playground.limits import PUBLIC, Budget, Limits
from playground.services import Services
from tests.fakes import Scripted, last, said
from tests.pages import free_port
from tests.stub import Reply, Stub, delta, sse
from tests.test_app import run, started
from ui import page
from ui.api import ENDPOINTS, Api, mcp_missing
from ui.middleware import own_folder

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
NAMES = [f"/{name}" for name in ENDPOINTS]


@contextmanager
def serving(limits: Limits | None = None) -> Iterator[str]:
    """A page in this process; its address."""
    port = free_port()
    services = Services(limits) if limits else Services()
    served = page.launch(services, page.Serving(port=port))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        served.close()


@pytest.fixture(scope="module")
def local() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def program(local: str) -> Client:
    return Client(local, verbose=False)


@pytest_asyncio.fixture
async def hosted(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stub]:
    """A hosted service with one model, on the owner's key."""
    monkeypatch.setenv("AZURE_FOUNDRY_ENDPOINT", f"{stub.url}/openai/v1")
    monkeypatch.setenv("AZURE_FOUNDRY_API_KEY", "owners-key")
    stub.on("/openai/v1/models", Reply.of({"data": [{"id": "Phi-4-mini-instruct"}]}))
    answer = Reply((sse(delta("Here I am.")),))
    stub.on("/openai/v1/chat/completions", answer)
    yield stub


# ── What there is ──────────────────────────────────────────────────────────────────────────────


def test_four_endpoints_are_public_and_told_with_types_and_words(local: str) -> None:
    told = httpx.get(f"{local}/gradio_api/info?all_endpoints=true").json()
    assert list(told["named_endpoints"]) == NAMES and told["unnamed_endpoints"] == {}
    for name, one in told["named_endpoints"].items():
        assert len(one["description"]) > 30, name
        assert all(part["type"] and part["parameter_name"] for part in one["parameters"]), name
    given = told["named_endpoints"]["/compare"]["parameters"]
    assert [part["parameter_name"] for part in given if not part["parameter_has_default"]] == [
        "prompt"
    ]
    paths = httpx.get(f"{local}/gradio_api/openapi.json").json()["paths"]
    called = {match[1] for path in paths if (match := re.search(r"/call/(?:v2/)?(\w+)", path))}
    assert called == set(ENDPOINTS)


def test_nothing_else_is_called_by_its_name(local: str) -> None:
    events = httpx.get(f"{local}/config").json()["dependencies"]
    private = {one["api_name"] for one in events if one["api_name"]} - set(ENDPOINTS)
    assert private
    with httpx.Client(base_url=f"{local}/gradio_api/", timeout=60) as client:
        for name in sorted(private):
            for way in ("call", "call/v2", "run", "api"):
                assert client.post(f"{way}/{name}", json={"data": []}).status_code == 404, name


def test_another_website_calls_nothing(local: str) -> None:
    for name in ENDPOINTS:
        url = f"{local}/gradio_api/call/v2/{name}"
        found = httpx.post(url, json={"text": "x"}, headers={"Origin": "https://evil.example"})
        assert found.status_code == 403
    found = httpx.get(f"{local}/gradio_api/info", headers={"Host": "evil.example"})
    assert found.status_code == 403


def test_programs_that_are_told_name_the_address_that_was_asked() -> None:
    with serving(PUBLIC) as url:
        for host in ("evil.example", "phi.example"):
            told = httpx.get(f"{url}/gradio_api/info", headers={"Host": host}).text
            assert host in told and ("evil.example" in told) == (host == "evil.example")


def test_mcp_is_off_by_itself(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("", "/", "/sse", "/schema", "/http"):
        assert httpx.get(f"{local}/gradio_api/mcp{path}").status_code == 404
    assert httpx.post(f"{local}/gradio_api/mcp/", json={}).status_code == 404


@pytest.mark.skipif(not mcp_missing(), reason="what --mcp needs is installed")
def test_mcp_without_its_package_says_what_to_install() -> None:
    done = run("--mcp")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert 'pip install "mcp==' in done.stderr


# ── By gradio_client ───────────────────────────────────────────────────────────────────────────


def test_languages_and_tokens(program: Client) -> None:
    found = program.predict("Guten Morgen, wie geht es dir heute?", api_name="/detect_language")
    assert found == {"language": "de", "name": "German"}
    assert program.predict("?", api_name="/detect_language") == {"language": None, "name": None}
    [short] = program.predict("Hi", ["pocket/pocket-3.5"], api_name="/count_tokens")
    [long] = program.predict("Hi " * 50, ["pocket/pocket-3.5"], api_name="/count_tokens")
    assert short["name"] == "pocket/pocket-3.5" and 0 < short["tokens"] < long["tokens"]


def test_models_are_told(program: Client) -> None:
    ready = program.predict(True, api_name="/models")
    every = program.predict(api_name="/models")
    names = {one["name"] for one in ready}
    assert {"pocket/pocket-3", "pocket/pocket-3.5"} <= names < {one["name"] for one in every}
    assert {one["state"] for one in ready} == {"ready"}


def test_answers_stream(program: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.api.INTERVAL", 0.0)
    scripted = Scripted(said("One "), said("two "), said("three."), last(3, 3))

    async def script() -> AsyncIterator[Any]:
        for step in scripted.steps:
            yield step
            await asyncio.sleep(0.2)  # longer than a tick, so that each is a step of its own

    scripted.script = script  # type: ignore[method-assign]
    monkeypatch.setitem(REGISTRY, "scripted", scripted)
    job = program.submit("Count", ["scripted/fake", "scripted/fake"], api_name="/compare")
    steps = list(job)
    texts = [step["answers"][0]["text"] for step in steps]
    assert "One " in texts and "One two " in texts and texts[-1] == "One two three."
    assert [step["done"] for step in steps] == [False] * (len(steps) - 1) + [True]
    answer = steps[-1]["answers"][1]
    assert (answer["state"], answer["output_tokens"], answer["model_id"]) == ("done", 3, "fake")


@pytest.mark.parametrize(
    ("given", "said_"),
    [
        ({"prompt": " "}, "There is no prompt yet."),
        ({"prompt": "x" * 100_001}, "at most 100,000 fit here"),
        ({"prompt": 7}, "“prompt” must be a text."),
        ({"prompt": "Hi", "models": ["pocket/pocket3.5"]}, "Did you mean pocket/pocket-3.5"),
        ({"prompt": "Hi", "models": "pocket/pocket-3"}, "“models” must be a list of names."),
        ({"prompt": "Hi", "models": ["a/b"] * 5}, "a list of one to 4 names"),
        ({"prompt": "Hi", "temperature": 9}, "Temperature must be between 0 and 2"),
        ({"prompt": "Hi", "max_tokens": True}, "“max_tokens” must be a whole number."),
        ({"prompt": "Hi", "keys": ["x"]}, "“keys” must be an object"),
    ],
)
def test_what_cannot_be_asked(program: Client, given: dict[str, Any], said_: str) -> None:
    with pytest.raises(AppError, match=re.escape(said_)):
        program.predict(**given, api_name="/compare")


def test_one_that_fails_leaves_the_other_alone(
    program: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = f"http://127.0.0.1:{free_port()}/v1"
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", gone)
    monkeypatch.setitem(REGISTRY, "scripted", Scripted(said("Yes."), last(1, 1)))
    names = ["openai_compatible/phi", "scripted/fake"]
    left, right = program.predict("Hi", names, api_name="/compare")["answers"]
    assert left["state"] == "failed" and left["error"] and not left["text"]
    assert right["text"] == "Yes."


# ── Pictures ───────────────────────────────────────────────────────────────────────────────────

PICTURES = Path(__file__).parent.parent / "playground" / "examples" / "pictures"
CIRCLE = PICTURES / "circle.png"
COLOUR = {"prompt": "What colour is the circle?", "temperature": 0}


def held() -> list[Path]:
    """The uploaded files that still lie there."""
    return [path for path in own_folder().rglob("*") if path.is_file()]


@pytest.mark.engine
def test_a_program_asks_about_a_picture(program: Client) -> None:
    names = ["pocket/pocket-vision", "pocket/pocket-3"]
    given = {**COLOUR, "pictures": [handle_file(CIRCLE)]}
    before = set(held())  # what other tests' aborted uploads left
    seeing, blind = program.predict(**given, models=names, api_name="/compare")["answers"]
    assert "red" in seeing["text"] and not seeing["error"]
    assert "reads text only, not pictures" in blind["error"] and not blind["text"]
    [alone] = program.predict(**given, api_name="/compare")["answers"]
    assert (alone["name"], alone["text"]) == ("pocket/pocket-vision", seeing["text"])
    assert set(held()) <= before, "what was read is deleted"


@pytest.mark.engine
def test_curl_asks_about_a_picture_twice_in_one_question(local: str) -> None:
    with httpx.Client(base_url=f"{local}/gradio_api/", timeout=120) as client:
        [path] = client.post("upload", files={"files": CIRCLE.open("rb")}).json()
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        asked = {**COLOUR, "pictures": [file, file]}
        event = client.post("call/v2/compare", json=asked).json()["event_id"]
        told = client.get(f"call/v2/compare/{event}").text
        [answer] = json.loads(told.rpartition("data: ")[2])[0]["answers"]
        assert answer["text"] and answer["notes"] == ["4 crops"], "as it sees several"
        again = client.post("call/v2/compare", json=asked).json()["event_id"]
        assert "no longer here" in client.get(f"call/v2/compare/{again}").text


@pytest.mark.parametrize(
    ("pictures", "said_"),
    [
        ("x", "“pictures” must be a list of files"),
        ([str(CIRCLE)], "“pictures” must be a list of files"),
        ([{"path": str(CIRCLE)}], "“pictures” must be a list of files"),
        ([{"path": 7, "meta": {"_type": "gradio.FileData"}}], "“pictures” must be a list of"),
        ([handle_file(PICTURES / "README.md")], "“README.md” is a text file, not a picture"),
        ([handle_file(PICTURES / "clip.mp4")], "“clip.mp4” is a video"),
        ([handle_file(CIRCLE)] * 33, "There are 33 pictures; at most 32 fit here."),
    ],
)
def test_what_is_no_picture(program: Client, pictures: Any, said_: str) -> None:
    with pytest.raises(AppError, match=re.escape(said_)):
        program.predict("Hi", pictures=pictures, api_name="/compare")


def test_only_what_was_sent_here_is_read(local: str) -> None:
    with httpx.Client(base_url=f"{local}/gradio_api/", timeout=60) as client:
        file = {"path": str(CIRCLE), "meta": {"_type": "gradio.FileData"}}
        event = client.post("call/v2/compare", json={"prompt": "Hi", "pictures": [file]}).json()
        told = client.get(f"call/v2/compare/{event['event_id']}").text
        assert "event: error" in told and "answers" not in told
        for way, body in (
            ("call/v2/compare", {"prompt": "Hi", "pictures": [handle_file("https://a.example/x")]}),
            ("run/predict", {"data": [[handle_file("http://a.example/x")]], "session_hash": "s"}),
        ):
            found = client.post(way, json=body)
            assert found.status_code == 400 and "fetches no file from an address" in found.text


# ── No more than a visitor ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shared", ["", "1"])
async def test_programs_spend_no_token_of_the_owner_that_is_not_shared(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, shared: str
) -> None:
    served = {"id": "ms/phi", "providers": [{"provider": "one", "status": "live"}]}
    stub.on("/v1/models", Reply.of({"data": [served]}))
    stub.on("/v1/chat/completions", Reply((sse(delta("Here I am.")),)))
    monkeypatch.setattr(HuggingFace, "default_address", f"{stub.url}/v1")
    monkeypatch.setenv("HF_TOKEN", "hf_owners")
    monkeypatch.setenv("PHI_SHARE_HF_TOKEN", shared)
    *_, last = [one async for one in Api(Services(PUBLIC)).compare("Hi", ["huggingface/ms/phi"])]
    [answer] = last["answers"]
    sent = [header for one in stub.seen for header in one.headers.values()]
    assert any("hf_owners" in header for header in sent) == bool(shared)
    assert answer["text"] == ("Here I am." if shared else "")
    assert ("needs a key" in (answer["error"] or "")) != bool(shared)
    lengths = [one.json["max_tokens"] for one in stub.seen if one.path.endswith("completions")]
    assert lengths == [PUBLIC.max_tokens] * bool(shared), "no answer without an end"


async def test_a_public_page_gives_programs_what_it_gives_visitors(
    hosted: Stub, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    limits = replace(PUBLIC, budget=Budget(20, 1_000_000))
    with serving(limits) as url:
        program = await asyncio.to_thread(Client, url, verbose=False)

        async def asked(**given: Any) -> Any:
            given = {"prompt": "Hi", **given}
            return await asyncio.to_thread(program.predict, **given, api_name="/compare")

        for given, refused in (
            ({"prompt": "x" * 8_001}, "at most 8,000 fit here"),
            ({"max_tokens": 2000}, "Max tokens must be between 1 and 1,024"),
            ({"models": ["openai_compatible/phi"]}, "There is no model"),
            ({"models": ["ollama/phi3.5"]}, "There is no model"),
            ({"models": ["azure_foundry/gpt-5"]}, "only the models in its list"),
        ):
            with pytest.raises(AppError, match=re.escape(refused)):
                await asked(**given)
        name = "azure_foundry/Phi-4-mini-instruct"
        answers = [(await asked(models=[name]))["answers"][0] for _ in range(3)]
        # A tenth of the day's requests is a visitor's share, programs' and pages' together.
        assert [one["text"] for one in answers] == ["Here I am.", "Here I am.", ""]
        assert "You have used up" in answers[2]["error"]
        own = await asked(models=[name], keys={"azure_foundry": "visitors-key"})
        assert own["answers"][0]["text"] == "Here I am."
        keys = [one.headers for one in hosted.asked("/openai/v1/chat/completions")]
        sent = [" ".join(headers.values()) for headers in keys]
        assert ["owners-key" in one for one in sent] == [True, True, False]
        assert "visitors-key" in sent[2]
    written = caplog.text + "".join(capfd.readouterr())
    assert "visitors-key" not in written and "owners-key" not in written


@pytest.mark.engine
async def test_a_failing_call_writes_nothing_of_what_was_sent(tmp_path: Path) -> None:
    with started(tmp_path, "--public") as (_, url):
        async with httpx.AsyncClient(base_url=f"{url}/gradio_api/call/", timeout=60) as client:
            for body in (
                {"prompt": "", "keys": {"azure_foundry": "sk-secret"}},
                {"prompt": ["sk-secret"]},
                {"prompt": "x", "models": ["sk-secret"] * 9},
                {"sk-secret": "sk-secret"},
            ):
                answer = await client.post("v2/compare", json=body)
                if answer.status_code == 200:
                    await client.get(f"v2/compare/{answer.json()['event_id']}")
            large = await client.post("v2/compare", json={"prompt": "x" * 2_000_001})
            assert large.status_code == 413
    assert "sk-secret" not in (tmp_path / "log").read_text()


# ── The README's lines ─────────────────────────────────────────────────────────────────────────


def _readme(language: str) -> str:
    section = README[README.index("## For programs") :]
    return re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)[1]  # type: ignore[index]


@pytest.mark.engine
def test_the_readmes_program_runs(local: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = _readme("python")
    assert "http://127.0.0.1:7860" in source
    exec(compile(source.replace("http://127.0.0.1:7860", local), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "Pocket-3.5" in printed and "small language model" in printed


@pytest.mark.engine
def test_the_readmes_curl_runs(local: str) -> None:
    first, second = [
        line for line in _readme("sh").replace("\\\n", " ").splitlines() if "curl" in line
    ]

    def call(line: str) -> str:
        words = shlex.split(line.replace("http://127.0.0.1:7860", local))
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    event = json.loads(call(first))["event_id"]
    told = call(second.replace("EVENT_ID", event))
    assert "event: generating" in told and "event: complete" in told
    assert json.loads(told.rpartition("data: ")[2])[0]["done"] is True
