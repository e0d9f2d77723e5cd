"""The programs that the page shows: run as they are, each makes the backend's own request."""

import asyncio
import json
import os
import re
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from jinja2 import UndefinedError

from backends import REGISTRY, Backend, Connection, GenerationParams, ImagePart, Message, TextPart
from backends._snippets import ENVIRONMENT, literal, quoted, render
from playground.answer import Request
from playground.compare import complete
from tests.stub import Reply, Seen, Stub, delta, sse, usage
from ui.compare.snippet import fenced

ROOT = Path(__file__).parent.parent
CHAT = "/v1/chat/completions"
KEY = "sk-planted-1234567890"
BACKEND = REGISTRY["openai_compatible"]
PARAMS = GenerationParams(32, 0.0, 0.95, 50, 7, ("###", "\n\n"))
ODD = (
    "It's \"odd\": \\n is no line end.\nمرحبا\u202e 你好 👩\u200d🏫\n\n\ttab, \r, \u2028, \x00, '''"
    ' and """.\n# import os\n```\nend'
)
LONG = "word " * 200 + "什么是小型语言模型？" * 20 + "x" * 300 + "\n" * 4
SMALL = ImagePart(b"\x89PNG" + b"s" * 60, "image/png")
LARGE = ImagePart(b"\xff\xd8" + b"l" * 5000, "image/jpeg")
OTHER = ImagePart(b"\x89PNG" + b"o" * 5000, "image/png")
SYSTEM, HELLO = Message.of("system", "Be 'brief'."), Message.of("user", "Hello")
HISTORY = (HELLO, Message.of("assistant", "Hi!\n"), Message.of("user", "And now?"))

CASES = {
    "plain": ((HELLO,), GenerationParams()),
    "all": ((SYSTEM, *HISTORY), PARAMS),
    "odd": ((Message.of("system", ODD), Message.of("user", ODD)), PARAMS),
    "long": ((Message.of("user", LONG),), GenerationParams(temperature=0.3)),
}


@pytest_asyncio.fixture
async def stub() -> AsyncGenerator[Stub, None]:
    async with Stub() as stub:
        answer = sse(delta("Hel"), delta("lo"), delta("", "stop"), usage(1, 2))
        stub.on(CHAT, Reply([answer], headers={"content-type": "text/event-stream"}))
        yield stub


async def run(program: str, folder: Path, **environment: str) -> str:
    """What a program prints, started as a beginner would start it."""
    file = folder / "program.py"
    file.write_text(program, "utf-8")
    lean = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "utf8", str(file)),
        cwd=folder,
        env=lean | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return printed.decode()


async def asked(backend: Backend, stub: Stub, path: str, **request) -> Seen:
    """What the backend itself sends."""
    before = len(stub.asked(path))
    async for _ in backend.stream(**request):
        pass
    *_, seen = stub.asked(path)[before:]
    return seen


def credentials(seen: Seen) -> dict[str, str]:
    """The headers of a request that say who asks."""
    names = ("authorization", "api-key", "x-github-api-version")
    return {name: seen.headers[name] for name in names if name in seen.headers}


# Values as Python


@pytest.mark.parametrize("text", ["", "'", '"', "'\"", "\\", ODD, LONG, "\ud800", "x" * 500])
def test_any_text_is_written_as_itself(text: str) -> None:
    assert eval(quoted(text)) == text
    for value in (
        text,
        [text],
        {"a": text, text: [text, {"b": [text, None, True, 0.5, 7]}]},
        [[[[text]]]],
    ):
        assert eval(literal(value)) == value
        assert eval(literal(value, " " * 40 + "a = ").partition(" = ")[2]) == value


def test_long_texts_are_laid_out_in_short_lines() -> None:
    written = literal([{"role": "user", "content": "word " * 200 + "x" * 300}])
    assert max(map(len, written.splitlines())) <= 76


def test_what_goes_into_a_comment_stays_there() -> None:
    program = BACKEND.snippet("a\nimport os\r\x0c\u2028print(1)", (HELLO,), PARAMS)
    assert program is not None
    first, second, *_ = program.splitlines()
    assert first.startswith("# a import os") and second.startswith("# ")
    compile(program, "program", "exec")


@pytest.mark.parametrize("text", ["plain", "```", "a ````` b\n```python\n"])
def test_nothing_in_a_program_ends_its_block(text: str) -> None:
    fence = re.match("`+", fenced(text + "\n"))
    assert fence and fence[0] not in text


# The chat/completions wire


@pytest.mark.parametrize(("messages", "params"), CASES.values(), ids=CASES)
async def test_the_program_makes_the_same_request(stub: Stub, tmp_path: Path, messages, params):
    where = Connection(stub.url, KEY)
    request = {"model": "phi", "messages": messages, "params": params, "connection": where}
    own = await asked(BACKEND, stub, CHAT, **request)
    program = BACKEND.snippet(**request)
    assert program and KEY not in program and stub.url in program
    assert await run(program, tmp_path, OPENAI_COMPATIBLE_API_KEY=KEY) == "Hello\n"
    seen = stub.asked(CHAT)[-1]
    assert seen.json == own.json and seen is not own
    assert credentials(seen) == credentials(own) == {"authorization": f"Bearer {KEY}"}


async def test_pictures_small_ones_inside_large_ones_from_files(stub: Stub, tmp_path: Path):
    parts = (SMALL, LARGE, TextPart("and"), LARGE, TextPart("What is on them?"))
    earlier = Message("user", (TextPart("This: "), OTHER))
    messages = (earlier, Message.of("assistant", "A cat."), Message("user", parts))
    request = {"model": "phi-3.5-vision", "messages": messages, "params": PARAMS}
    request |= {"connection": Connection(stub.url, KEY)}
    own = await asked(BACKEND, stub, CHAT, **request)
    program = BACKEND.snippet(**request)
    assert program and len(program) < 3000
    assert program.count('data_url("picture-2.jpeg", "image/jpeg")') == 2
    (tmp_path / "picture-1.png").write_bytes(OTHER.data)
    (tmp_path / "picture-2.jpeg").write_bytes(LARGE.data)
    await run(program, tmp_path, OPENAI_COMPATIBLE_API_KEY=KEY)
    assert stub.asked(CHAT)[-1].json == own.json


async def test_a_server_without_a_key(stub: Stub, tmp_path: Path, monkeypatch) -> None:
    # The environment's key never goes to a typed address, so the program needs none.
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", KEY)
    program = BACKEND.snippet("phi", (HELLO,), PARAMS, Connection(stub.url))
    assert program and "environ" not in program and KEY not in program
    assert await run(program, tmp_path) == "Hello\n"


@pytest.mark.parametrize("typed", [None, "not an address", "http://name:secret@host"])
async def test_without_an_address_there_is_an_example(typed: str | None) -> None:
    program = BACKEND.snippet("phi", (HELLO,), PARAMS, Connection(typed, KEY))
    assert program and "http://localhost:8000/v1" in program
    assert "secret" not in program and KEY not in program


HOSTED = [backend for backend in REGISTRY.values() if backend.kind == "hosted"]


@pytest.mark.parametrize("backend", HOSTED, ids=[backend.id for backend in HOSTED])
async def test_hosted_services(backend: Backend, stub: Stub, tmp_path: Path, monkeypatch) -> None:
    """At a typed address, each with the header that its service wants."""
    assert backend.key_env
    request = {"model": "phi-4", "messages": (SYSTEM, *HISTORY), "params": PARAMS}
    request |= {"connection": Connection(f"{stub.url}/v1", KEY)}
    program = backend.snippet(**request)
    assert program
    found = re.search(r'base_url="(.*?)"', program)
    assert found
    path = found[1].removeprefix(stub.url) + "/chat/completions"
    answer = sse(delta("Hello", "stop"), usage(1, 2))
    stub.on(path, Reply([answer], headers={"content-type": "text/event-stream"}))
    own = await asked(backend, stub, path, **request)
    assert await run(program, tmp_path, **{backend.key_env: KEY}) == "Hello\n"
    seen = stub.asked(path)[-1]
    assert seen is not own and seen.json == own.json
    assert credentials(seen) == credentials(own)
    assert KEY in str(credentials(seen)) and KEY not in program


# Ollama


@pytest.mark.parametrize("case", [*CASES, "pictures", "between"])
async def test_ollama(stub: Stub, tmp_path: Path, case: str) -> None:
    parts = (SMALL, LARGE, TextPart("?"))
    shown = (Message("user", parts if case == "pictures" else parts[::-1]),)
    messages, params = CASES.get(case) or (shown, PARAMS)
    lines = ({"message": {"role": "assistant", "content": text}, "done": False} for text in "Hi")
    answer = "".join(json.dumps({"model": "x", **line}) + "\n" for line in lines)
    answer += (
        json.dumps({"model": "x", "message": {"role": "assistant", "content": ""}, "done": True})
        + "\n"
    )
    stub.on("/api/chat", Reply([answer.encode()]))
    where = Connection(stub.url, KEY)
    request = {"model": "llava", "messages": messages, "params": params, "connection": where}
    own = await asked(REGISTRY["ollama"], stub, "/api/chat", **request)
    program = REGISTRY["ollama"].snippet(**request)
    assert program and KEY not in program and len(program) < 5000
    (tmp_path / "picture-1.jpeg").write_bytes(LARGE.data)
    assert await run(program, tmp_path, OLLAMA_API_KEY=KEY) == "Hi\n"
    seen = stub.asked("/api/chat")[-1]
    # The package's own `chat` has no place for two of them; the program says so.
    assert seen is not own
    sent = {name: value for name, value in seen.json.items() if value != []}
    left_out = {name: False for name in ("truncate", "shift") if f"{name}=False" in program}
    assert "truncate" in left_out and sent | left_out == own.json
    assert credentials(seen) == credentials(own) == {"authorization": f"Bearer {KEY}"}


RETIRED = [backend for backend in REGISTRY.values() if backend.retired]


@pytest.mark.parametrize("backend", RETIRED, ids=[backend.id for backend in RETIRED])
def test_a_retired_service_says_so_first(backend: Backend, monkeypatch) -> None:
    assert backend.retired and backend.key_env
    monkeypatch.setenv(backend.key_env, KEY)
    program = backend.snippet("phi-4", (HELLO,), PARAMS)
    assert program and program.startswith("# Careful: this program no longer works.")
    assert f"{backend.retired.on:%Y-%m-%d}" in program.split("import")[0]
    assert KEY not in program


def test_a_retired_model_says_so_first() -> None:
    program = REGISTRY["azure_foundry"].snippet("Phi-3.5-mini-instruct", (HELLO,), PARAMS)
    assert program and program.startswith("# Careful: this program no longer works. Retired")
    still = REGISTRY["azure_foundry"].snippet("Phi-4", (HELLO,), PARAMS)
    assert still and still.startswith("# Phi-4 ·")


@pytest.mark.parametrize("backend", REGISTRY.values(), ids=REGISTRY)
async def test_no_program_holds_a_key(backend: Backend, monkeypatch) -> None:
    for name in {"OPENAI_API_KEY", backend.key_env} - {None}:
        monkeypatch.setenv(str(name), KEY)
    offers = (await backend.check()).offers
    model = offers[0].model if offers else "phi"
    for connection in (None, Connection(None, KEY), Connection("http://host:1/v1", KEY)):
        for messages in ((HELLO,), HISTORY, ()):
            program = backend.snippet(model, messages, PARAMS, connection)
            assert KEY not in (program or "")
            compile(program or "", "program", "exec")


# A model on this machine


POCKET = REGISTRY["pocket"]


@pytest.mark.engine
@pytest.mark.parametrize(
    ("messages", "params"),
    [
        ((HELLO,), GenerationParams(max_tokens=40, temperature=0)),
        (
            # Of what it was taught: where it is in doubt, two ways of computing may part.
            (SYSTEM, *HISTORY[:2], Message.of("user", "What is a mixture of experts?")),
            GenerationParams(max_tokens=40, temperature=0, top_k=5, seed=3),
        ),
        (
            (Message.of("user", 'What does "<|end|>" mean?\n什么是小型语言模型？'),),
            GenerationParams(max_tokens=30, temperature=0),
        ),
    ],
    ids=["plain", "history", "control tokens"],
)
async def test_pocket_says_the_same(messages, params, tmp_path: Path) -> None:
    answer = await complete(Request(POCKET, "pocket-3.5", messages, params))
    program = POCKET.snippet("pocket-3.5", messages, params)
    assert program
    (tmp_path / "backends").symlink_to(ROOT / "backends")
    printed = await run(program, tmp_path, HF_HUB_OFFLINE="1")
    assert answer.text and printed == answer.text + "\n"


@pytest.mark.engine
async def test_every_knob_reaches_generate(tmp_path: Path) -> None:
    params = GenerationParams(5, 0.8, 0.9, 40, 2**40, ("###",))
    program = POCKET.snippet("pocket-3.5", (SYSTEM, HELLO), params)
    assert program
    for line in (
        "max_new_tokens=5",
        "temperature=0.8",
        "top_p=0.9",
        "top_k=40",
        'stop_strings=["###"]',
    ):
        assert f"{line},\n" in program
    (tmp_path / "backends").symlink_to(ROOT / "backends")
    twice = (run(program, tmp_path, HF_HUB_OFFLINE="1") for _ in range(2))
    first, second = await asyncio.gather(*twice)
    assert first == second != "\n"


def test_knobs_left_alone_are_the_pages_defaults() -> None:
    program = REGISTRY["transformers"].snippet(
        "microsoft/Phi-3.5-mini-instruct", (HELLO,), GenerationParams()
    )
    assert program and "set_seed" not in program
    for line in ("max_new_tokens=1024", "temperature=0.7", "top_p=0.95", "top_k=0"):
        assert f"{line},\n" in program


def test_an_unknown_model_has_no_program() -> None:
    assert POCKET.snippet("no-such-model", (HELLO,), PARAMS) is None


@pytest.mark.engine
def test_a_template_without_a_place_for_it_gets_the_system_prompt_in_front(tmp_path: Path) -> None:
    from backends._local.chat_text import has_system_slot

    assert has_system_slot(tmp_path)
    template = tmp_path / "chat_template.jinja"
    template.write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    assert has_system_slot(tmp_path)
    template.write_text("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}")
    assert not has_system_slot(tmp_path)
    template.write_text("{{ raise_exception('no') }}")
    assert not has_system_slot(tmp_path)


async def test_a_prompt_that_looks_like_a_picture_is_a_prompt(stub: Stub, tmp_path: Path) -> None:
    prompt = f"data:image/png;base64,{b64encode(OTHER.data).decode()}"
    messages = (Message.of("user", prompt), Message("user", (LARGE, TextPart(prompt))))
    request = {"model": "phi-3.5-vision", "messages": messages, "params": PARAMS}
    request |= {"connection": Connection(stub.url)}
    own = await asked(BACKEND, stub, CHAT, **request)
    program = BACKEND.snippet(**request)
    assert program and "picture-1.jpeg" in program and "picture-2" not in program
    (tmp_path / "picture-1.jpeg").write_bytes(LARGE.data)
    await run(program, tmp_path)
    assert stub.asked(CHAT)[-1].json == own.json


# Templates


@pytest.mark.parametrize("name", ["title", "install", "url", "key", "request", "headers", "top_k"])
def test_a_template_needs_all_of_its_context(name: str) -> None:
    context = {"title": "a", "install": "b", "url": "c", "key": "d", "request": {}, "headers": {}}
    context |= {"pictures": [], "top_k": None}
    assert compile(render("openai", **context), "program", "exec")
    del context[name]
    with pytest.raises((UndefinedError, TypeError)):
        render("openai", **context)


def test_a_template_writes_nothing_that_no_filter_wrote() -> None:
    template = ENVIRONMENT.from_string("print({{ prompt }})")
    assert (
        ENVIRONMENT.from_string("print({{ prompt | literal }})").render(prompt="'") == 'print("\'")'
    )
    with pytest.raises(TypeError):
        template.render(prompt="print(1)")
