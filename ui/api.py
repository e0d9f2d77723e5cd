"""The page's public endpoints, for programs: the same limits, lines and budget as for visitors."""

import json
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from typing import Any, TypedDict

import gradio as gr
from gradio.data_classes import FileDataMeta
from gradio.events import api

from backends import BackendError, BadRequestError, GenerationParams, Sentence
from playground.commands.choices import BUILT_IN, SEEING
from playground.conversation import MAX_NAME, MAX_SIDES
from playground.export import to_json
from playground.keyring import Keyring
from playground.languages import LANGUAGES
from playground.languages.detection import language_of
from playground.media.pictures import Picture, display_name
from playground.model_list import rows
from playground.model_names import find_model
from playground.question import Comparison, Question, prepare
from playground.services import Services
from playground.visitors import VISITOR

from .middleware import own_folder
from .upload_reader import UploadReader, read_upload

ENDPOINTS = ("compare", "models", "count_tokens", "detect_language")
INTERVAL = 0.25
"""Seconds between two steps of an answer: each has the whole text so far."""
MCP_INSTALL = 'pip install "mcp==1.30.0" "pydantic==2.12.5"'
"""What Gradio 6.31 wants for MCP: not the newest of either, so that nobody has it by chance."""


class UploadedFile(TypedDict):
    """A file that was uploaded to this page, as `gradio_client.handle_file` makes it."""

    path: str
    """As the upload told."""
    meta: FileDataMeta


class Api:
    """The endpoints of one page."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._uploads = UploadReader(own_folder())

    def connect(self) -> None:
        """Add them to the page that is being built."""
        for name in ENDPOINTS:
            api(getattr(self, name), api_name=name)

    async def compare(
        self,
        prompt: str,
        models: list[str] | None = None,
        system: str = "",
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
        keys: dict[str, str] | None = None,
        pictures: list[UploadedFile] | None = None,
        request: gr.Request | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Ask one to four models the same prompt at the same time, and stream their answers.

        Each step has all answers as they are so far: `{"done": false, "answers": [...]}`. The last
        one has `"done": true`, and of each answer also its numbers, its language, and the settings
        that were sent. A model that fails says so in its `error`; the others go on.

        Parameters:
            prompt: What to ask.
            models: One to four names as `models` gives them. Without any, the built-in pair.
            system: A system prompt.
            max_tokens: The most tokens of an answer.
            temperature: 0 (greedy) to 2.
            top_p: 0.01 to 1.
            top_k: 0 (all) to 1000.
            seed: Repeats a sampled answer.
            keys: Your own keys for hosted services, by a name's part before the slash. Never kept.
            pictures: Files to ask about, sent to this page before; not by MCP, which cannot do so.
        """
        seen = await self._pictures(pictures)
        comparison = await self._prepared(
            request,
            Question(
                _text(prompt, "prompt"),
                _text(system or "", "system"),
                seen,
                params=GenerationParams(
                    max_tokens=_number(max_tokens, "max_tokens", whole=True),
                    temperature=_number(temperature, "temperature"),
                    top_p=_number(top_p, "top_p"),
                    top_k=_number(top_k, "top_k", whole=True),
                    seed=_number(seed, "seed", whole=True),
                ),
            ),
            _names(models, SEEING if seen else BUILT_IN),
            _keyring(keys, self.services.limits.public),
        )
        told = 0.0
        async with aclosing(comparison.run.snapshots()) as ticks:
            async for sides in ticks:
                if monotonic() - told >= INTERVAL:
                    told = monotonic()
                    answers = [
                        {
                            "name": model.name,
                            "state": side.state,
                            "text": side.text,
                            "thinking": side.thinking,
                            "error": str(side.error or ""),
                        }
                        for model, side in zip(comparison.models, sides, strict=True)
                        if side
                    ]
                    yield {"done": False, "answers": answers}
        recorded = json.loads(to_json(await comparison.record()))
        answers = recorded["turns"][0]["answers"]
        named = zip(comparison.models, answers, strict=True)
        yield {"done": True, "answers": [{"name": one.name, **answer} for one, answer in named]}

    async def models(self, ready_only: bool = False) -> list[dict[str, Any]]:
        """List the models of this page: names, states, sizes.

        Parameters:
            ready_only: Only those that can be asked now.
        """
        every = await self.services.health.check_all()
        found = [row for one in every for row in rows(one)]
        return [row for row in found if row["state"] == "ready" or not ready_only]

    async def count_tokens(
        self, text: str, models: list[str] | None = None
    ) -> list[dict[str, Any]]:
        """Count the tokens that a text is to one to four models; null where that is not known here.

        Parameters:
            text: The text to count, without a chat template.
            models: One to four names as `models` gives them. Without any, the built-in pair.
        """
        text = self._checked(_text(text, "text"))
        counted: list[dict[str, Any]] = []
        for name in _names(models, BUILT_IN):
            try:
                named = await find_model(name, self.services.health)
            except BackendError as error:
                raise _refusal(error) from error
            tokens = await named.backend.count_tokens(named.model, text)
            counted.append({"name": named.name, "tokens": tokens})
        return counted

    async def detect_language(self, text: str) -> dict[str, Any]:
        """Name the language that a text is written in, of 26; null if that cannot be told.

        Parameters:
            text: At least a few words. Code, addresses, quotations and names do not count.
        """
        code = await language_of(self._checked(_text(text, "text")))
        return {"language": code, "name": LANGUAGES[code].english_name if code else None}

    async def _pictures(self, value: object) -> tuple[Picture, ...]:
        """The pictures of uploaded files, which are gone then."""
        limits, wanted = self.services.limits, _files(value)
        files = dict(wanted)
        read: list[Picture] = []
        try:
            limits.check_picture_count(len(wanted))
            limits.check_picture_memory()
            async with aclosing(self._uploads.read(files, len(files), self._read_file)) as steps:
                async for step in steps:
                    if isinstance(step, BackendError):
                        raise step
                    if not isinstance(step, str):
                        read += step
        except BackendError as error:
            raise _refusal(error) from error
        if len(read) < len(files):  # what lies elsewhere is not read
            raise _wrong("pictures", WANTED_FILES)
        found = dict(zip(files, read, strict=True))
        return tuple(found[path] for path, _ in wanted)

    def _read_file(self, path: Path, name: str, cancelled: threading.Event) -> Sequence[Picture]:
        limits, name = self.services.limits.picture, display_name(name, "picture")
        try:
            return read_upload(path, name, limits, cancelled)
        except FileNotFoundError:  # swept, after a while in which nobody asked
            raise BadRequestError(
                Sentence("“{name}” is no longer here.", name=name),
                "Send it again, and ask at once.",
            ) from None

    def _checked(self, text: str) -> str:
        try:
            self.services.limits.check_system(text)
        except BackendError as error:
            raise _refusal(error) from error
        return text

    async def _prepared(
        self,
        request: gr.Request | None,
        question: Question,
        names: Sequence[str],
        keyring: Keyring,
    ) -> Comparison:
        visitor = VISITOR.set(request.state.visitor if request else "")
        try:
            return await prepare(question, names, self.services, keyring)
        except BackendError as error:
            raise _refusal(error) from error
        finally:
            VISITOR.reset(visitor)


def mcp_missing() -> str:
    """Why the endpoints cannot be served as tools of MCP, as a sentence; empty if they can."""
    try:
        found = version("mcp")
    except PackageNotFoundError:
        return f"--mcp needs the package mcp, which is not installed. Install it: {MCP_INSTALL}"
    if found.startswith("1."):
        return ""
    return f"--mcp needs another mcp than {found}, which is installed. Install it: {MCP_INSTALL}"


def _refusal(error: BackendError) -> gr.Error:
    """The error as Gradio passes it on, and does not log it with what was sent."""
    return gr.Error(str(error), print_exception=False)


def _wrong(name: str, what: str) -> gr.Error:
    return gr.Error(f"“{name}” must be {what}.", print_exception=False)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "a text")
    return value


def _number(value: object, name: str, *, whole: bool = False) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise _wrong(name, "a whole number" if whole else "a number")
    return value


def _names(value: object, built_in: Sequence[str]) -> Sequence[str]:
    if value is None or value == []:
        return built_in
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _wrong("models", "a list of names")
    if len(value) > MAX_SIDES or any(len(name) > 400 for name in value):
        raise _wrong("models", f"a list of one to {MAX_SIDES} names")
    return value


WANTED_FILES = "a list of files that were sent to this page before"


def _files(value: object) -> Sequence[tuple[Path, str]]:
    """The paths of uploaded files, and their names."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _wrong("pictures", WANTED_FILES)
    files: list[tuple[Path, str]] = []
    for one in value:
        path = one.get("path") if isinstance(one, dict) else None
        if not isinstance(path, str):
            raise _wrong("pictures", WANTED_FILES)
        name = one.get("orig_name")
        files.append((Path(path), name if isinstance(name, str) else Path(path).name))
    return files


def _keyring(value: object, public: bool) -> Keyring:
    keyring = Keyring(public)
    if value is None:
        return keyring
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value.values()):
        raise _wrong("keys", "an object with a key for each backend")
    for backend, key in value.items():
        keyring.put(str(backend)[:MAX_NAME], key=key)  # which bounds it
    return keyring
