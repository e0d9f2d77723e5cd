"""Warnings of an answer: that another model gave it, that a part of the prompt was not read."""

import re
from pathlib import PurePosixPath

from .._core.backend import CONTEXT_CAP
from .._core.sentence import Sentence
from .._core.types import Usage
from .._core.unicode import clean

_SAME_MODEL = re.compile(r"[-_:@/ ]|\.(?!\d)")
"""Before what a longer name of the same model goes on: a date, a quantisation, a tag."""


def other_model_warnings(asked: str, served: str, listed: bool = True) -> tuple[str, ...]:
    """A warning if another model answered, or if that may be: some servers repeat any name.

    `asked` is empty where names are not compared, `served` where the answer had none; `listed` is
    whether the server's list has the model, as far as there is one.
    """
    if asked and served and not is_same_model(asked, served):
        return (
            Sentence(
                "“{served}” answered, by the server's own word, not “{asked}”.",
                served=clean(served)[:100],
                asked=clean(asked)[:100],
            ),
        )
    if asked and not listed:
        return (
            Sentence(
                "The server does not list “{asked}”: another model may have answered.",
                asked=clean(asked)[:100],
            ),
        )
    return ()


def is_same_model(asked: str, served: str) -> bool:
    """Whether two names may be those of one model: one is the other with a tag, date or folder."""
    one, other = sorted((_plain(asked), _plain(served)), key=len)
    if not one:
        return True
    return other.startswith(one) and (
        len(one) == len(other) or bool(_SAME_MODEL.match(other, len(one)))
    )


def _plain(name: str) -> str:
    name = PurePosixPath(name.strip().casefold().replace("\\", "/")).name
    return name.removesuffix(".gguf").removesuffix(":latest")


_LEAST_READ = 256
"""Fewer tokens are no context that anything was cut to: some servers report 0, or count anew."""


def fewest_tokens(text: str) -> int:
    """How many tokens a text has at least: its words, or half of its Chinese characters."""
    return len(text.split()) + sum(char > "\u2e7f" for char in text) // 2


def was_cut(fewest: int, read: int) -> bool:
    """Whether a server that read so many tokens cannot have read the whole prompt."""
    return _LEAST_READ <= read < fewest


def context_warnings(label: str, usage: Usage | None, fewest: int) -> tuple[str, ...]:
    """Warnings if a prompt was cut in silence, or an answer went beyond what other engines take.

    `fewest` is how many tokens the prompt has at least.
    """
    read, made = (usage.input_tokens or 0, usage.output_tokens or 0) if usage else (0, 0)
    found: list[str] = []
    if was_cut(fewest, read):
        found.append(
            Sentence(
                "{label} read only {read} tokens of a prompt that has {fewest} at least.",
                label=label,
                read=read,
                fewest=fewest,
            )
        )
    if read + made > CONTEXT_CAP:
        found.append(
            Sentence(
                "Longer than {limit} tokens: do not compare it with engines that stop there.",
                limit=CONTEXT_CAP,
            )
        )
    return tuple(found)
