"""A local answer's text: the chat template, tokens made into text, stop strings."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from .._core.errors import BadRequestError
from .._core.types import GenerationParams, ImagePart, Message, Part, Role
from .._core.unicode import clean

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULT_PARAMS = GenerationParams(max_tokens=1024, temperature=0.7, top_p=0.95, top_k=0)
"""What a local engine takes for a knob left at `None`: one set for all, so that answers compare."""

STOP_TOKENS = ("<|end|>", "<|endoftext|>", "<|assistant|>", "<|im_end|>")
"""Ends of a turn in the Phi family: some checkpoints leave one or two out of their settings."""

_TAG = re.compile(r"<\|image_\d+\|>")

_PROBE = "3f9c"
"""A text that no template has of its own."""

_LONGEST = 16
"""Tokens that one character can take at most, and some: what is held longer is none."""


def escape_control_tokens(text: str, controls: Iterable[str]) -> str:
    """`text` without control tokens: a word joiner in each makes it mere letters again.

    Else "What does <|end|> mean?" would end the visitor's turn, and a prompt could play the
    assistant or the system.
    """
    for control in controls:
        text = text.replace(control, f"{control[0]}\u2060{control[1:]}")
    return text


class ImagePlaceholders:
    """Writes messages for a model with eyes: `<|image_1|>`, `<|image_2|>`, … where pictures stand.

    They are numbered through the whole conversation, and kept in `images` in that order. What looks
    like a tag in a text is made harmless.
    """

    def __init__(self, controls: Iterable[str]) -> None:
        self._controls = tuple(controls)
        self.images: list[ImagePart] = []

    def __call__(self, message: Message) -> str:
        """A message's text with its tags, each on a line of its own."""
        return "".join(map(self._written, message.parts))

    def _written(self, part: Part) -> str:
        if isinstance(part, ImagePart):
            self.images.append(part)
            return f"<|image_{len(self.images)}|>\n"
        text = clean(part.text)
        return escape_control_tokens(text, (*self._controls, *set(_TAG.findall(text))))


def to_template_messages(
    messages: Sequence[Message],
    *,
    system_slot: bool,
    write: Callable[[Message], str] = lambda message: clean(message.text),
) -> list[dict[str, str]]:
    """The conversation as a chat template takes it: system text first, then turns that alternate.

    Neighbours of one role are joined. Without a `system_slot` in the template, the system text
    leads the first user turn: a template without one would drop it silently. `write` makes each
    message's text.
    """
    system = "\n\n".join(write(m) for m in messages if m.role == "system" and m.text)
    talk: list[tuple[Role, str]] = []
    for message in messages:
        if message.role == "system":
            continue
        text = write(message)
        if talk and talk[-1][0] == message.role:
            text = f"{talk.pop()[1]}\n\n{text}"
        talk.append((message.role, text))
    if not talk and not system:
        raise BadRequestError("There is nothing to answer yet.", "Type a prompt first.")
    if system and system_slot:
        talk.insert(0, ("system", system))
    elif system and talk and talk[0][0] == "user":
        talk[0] = ("user", f"{system}\n\n{talk[0][1]}")
    elif system:
        talk.insert(0, ("user", system))
    return [{"role": role, "content": text} for role, text in talk]


class ChatTemplate:
    """A checkpoint's chat template, rendered as Transformers renders it, by Jinja2 alone.

    Raises `OSError` or `ValueError` if its file is missing or damaged. Source:
    `chat_template_utils.py` of Transformers 5.23.
    """

    def __init__(self, folder: Path) -> None:
        self.settings = _settings(folder / "tokenizer_config.json")
        self._read(_template(folder, self.settings))

    @classmethod
    def of_text(cls, template: str) -> "ChatTemplate":
        """A template by its text alone, without the names of special tokens."""
        one = cls.__new__(cls)
        one.settings = {}
        one._read(template)
        return one

    def _read(self, template: str) -> None:
        from jinja2 import TemplateSyntaxError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        cast("Any", environment).globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(template)
        except TemplateSyntaxError as error:
            raise ValueError("the chat template is damaged") from error
        self._names = {
            name: _content(self.settings[name])
            for name in ("bos_token", "eos_token")
            if name in self.settings
        }
        self.system_slot = self._has_system_slot()
        """Whether it has a place for a system prompt."""

    def render(self, talk: Sequence[dict[str, str]]) -> str:
        """Messages of `to_template_messages` in the template, ready to be answered."""
        return self._template.render(messages=talk, add_generation_prompt=True, **self._names)

    def written(self, messages: Sequence[Message], write: Callable[[Message], str]) -> str:
        """A conversation in the template; `write` makes each message's text.

        A last message of the assistant's is left open: the model goes on with it.
        """
        talk = to_template_messages(messages, system_slot=self.system_slot, write=write)
        begun = talk.pop()["content"] if talk[-1]["role"] == "assistant" else ""
        return self.render(talk) + begun

    def _has_system_slot(self) -> bool:
        from jinja2 import TemplateError

        talk = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "x"}]
        try:
            return _PROBE in self.render(talk)
        except TemplateError:  # some templates refuse what they cannot take
            return False


def has_system_slot(folder: Path) -> bool:
    """Whether the template of a checkpoint puts a system prompt anywhere; yes if it has none."""
    try:
        return ChatTemplate(folder).system_slot
    except (OSError, ValueError):
        return True


class ChatText(ChatTemplate):
    """A checkpoint's template and tokenizer, by Jinja2 and `tokenizers` alone.

    Raises `OSError` or `ValueError` if a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        super().__init__(folder)
        text = (folder / "tokenizer.json").read_text("utf-8")
        try:
            self.tokenizer: Tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise ValueError("tokenizer.json is damaged") from error
        added = (token.content for token in self.tokenizer.get_added_tokens_decoder().values())
        # Longest first: one may begin like another. What is a single letter stays one.
        self.controls = sorted((one for one in added if len(one) > 1), key=len, reverse=True)
        self.ends = _ends(folder, self.settings, self.tokenizer)
        """Every token that ends an answer, wherever the checkpoint says so."""

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """A conversation of text as tokens. Raises `BadRequestError` if there is none."""
        return self.encode_text(
            self.written(messages, lambda m: escape_control_tokens(clean(m.text), self.controls))
        )

    def encode_text(self, text: str) -> list[int]:
        """A rendered conversation as tokens."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids


def _refuse(message: str) -> NoReturn:
    """What a template calls for a conversation that it cannot take."""
    from jinja2 import TemplateError

    raise TemplateError(message)


def _settings(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(read, dict):
        raise ValueError(f"{file.name} holds no settings")
    return cast("dict[str, Any]", read)


def _content(token: Any) -> str:
    """A token in the tokenizer's settings: its text, or a record with it."""
    if isinstance(token, dict):
        return str(cast("dict[str, Any]", token).get("content", ""))
    return str(token or "")


def _template(folder: Path, settings: dict[str, Any]) -> str:
    """The chat template: in a file of its own, or among the tokenizer's settings."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8")
    template = settings.get("chat_template")
    if isinstance(template, list):  # several, by name
        several = cast("list[dict[str, Any]]", template)
        named = {one["name"]: one["template"] for one in several}
        template = cast("str | None", named.get("default"))
    if not isinstance(template, str):
        raise ValueError("there is no chat template")
    return template


def _ends(folder: Path, settings: dict[str, Any], tokenizer: "Tokenizer") -> set[int]:
    texts = (*STOP_TOKENS, _content(settings.get("eos_token")))
    found: list[Any] = [tokenizer.token_to_id(text) for text in texts]
    files = (_settings(folder / name) for name in ("generation_config.json", "config.json"))
    for part in (*files, _settings(folder / "genai_config.json").get("model", {})):
        ids = part.get("eos_token_id")
        found += cast("list[Any]", ids) if isinstance(ids, list) else [ids]
    return {one for one in found if isinstance(one, int)}


class Detokenizer:
    """Tokens into text as they come: new text only, half a character held back."""

    def __init__(self, tokenizer: "Tokenizer", after: Iterable[int] = ()) -> None:
        """`after`: tokens that stand before the first one; many tokenizers drop the space that
        begins a text, which is none where a text goes on."""
        from tokenizers.decoders import DecodeStream

        self._begin = lambda: DecodeStream(skip_special_tokens=True)
        self._tokenizer = tokenizer
        self._stream = self._begin()
        self._held: list[int] = []
        for token in after:
            self.push(token)
        self._held.clear()

    def push(self, token: int) -> str:
        """The text that this token completes, often none."""
        self._held.append(token)
        try:
            text = self._stream.step(self._tokenizer, token)
        except Exception:  # bytes that are no text at all make it give up, with just that
            text = self._give_up()
        if text is None and len(self._held) >= _LONGEST:
            text = self._give_up()
        if text:
            self._held.clear()
        return text or ""

    def _give_up(self) -> str:
        self._stream = self._begin()
        return self._tokenizer.decode(self._held)
