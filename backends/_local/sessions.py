"""Sessions that are kept between turns: the next one reads only what is new."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .._core.errors import OutOfMemoryError
from .._core.sentence import Sentence
from .seam import Session

LEAST_KEPT = 16
"""Tokens that a session must have in common with a prompt to be worth going on from."""
_ROOM = 512
"""Room is given in steps of so many tokens, so that a next turn finds some."""


@dataclass(eq=False, slots=True)
class _Kept:
    session: Session
    room: int
    """Tokens that it has memory for."""
    tokens: list[int] = field(default_factory=list[int])
    """What it has read."""


class SessionCache:
    """The sessions of one model that nobody uses at the moment, within a budget of bytes.

    A session belongs to whoever leases it, until it is given back; the least recently used ones
    are closed when all of them together would be larger than the budget.
    """

    def __init__(
        self, open_session: Callable[[int, bool], Session], bytes_per_token: float, budget: float
    ) -> None:
        self._open, self._bytes_per_token, self.budget = open_session, bytes_per_token, budget
        self._idle: list[_Kept] = []
        """The most recently used one last."""

    @contextmanager
    def lease(
        self, ids: Sequence[int] | None, room: int, most: int, long: bool = False
    ) -> "Generator[Lease, None, None]":
        """A session with memory for `room` tokens; at most `most` are ever asked for.

        It may have read the beginning of `ids` already; `None` stands for what cannot be resumed.
        `long` asks for LongRoPE's long factors.
        """
        kept = self._resumed(ids, room) if ids is not None else None
        if kept is None:
            self._close_idle(self.budget - self._size(room))
            room = min(most, -(-room // _ROOM) * _ROOM)
            kept = _Kept(self._open(room, long), room)
        lease = Lease(kept.session, kept.tokens)
        try:
            yield lease
        except BaseException:
            kept.session.close()  # what it has read is not known for sure
            raise
        if ids is None or not lease.resumable:
            kept.session.close()
            return
        self._idle.append(kept)
        self._close_idle(self.budget)

    def close(self) -> None:
        """Close those that are kept."""
        self._close_idle(-1)

    def _resumed(self, ids: Sequence[int], room: int) -> _Kept | None:
        """The kept session that has read most of `ids`, rewound to there."""
        fitting = [kept for kept in self._idle if kept.room >= room]
        best = max(fitting, key=lambda kept: _common(kept.tokens, ids), default=None)
        # The last token is read again: its logits begin the answer.
        common = min(_common(best.tokens, ids), len(ids) - 1) if best else 0
        if best is None or common < LEAST_KEPT:
            return None
        if common < len(best.tokens) and not best.session.rewind(common):
            return None
        self._idle.remove(best)
        del best.tokens[common:]
        return best

    def _size(self, room: int) -> float:
        return room * self._bytes_per_token

    def _close_idle(self, budget: float) -> None:
        while self._idle and sum(self._size(kept.room) for kept in self._idle) > budget:
            self._idle.pop(0).session.close()


class Lease:
    """A session in use: it keeps count of what the session has read."""

    def __init__(self, session: Session, tokens: list[int]) -> None:
        self.session, self.tokens = session, tokens
        self.resumable = True
        """Whether the session may be kept: false once it has read what is no token."""

    def feed(self, tokens: "Sequence[int]", in_prompt: bool = True):
        """Read some more; see `Session.feed`."""
        output = self.session.feed(tokens, in_prompt)
        if isinstance(tokens, list):
            self.tokens += tokens
        else:
            self.resumable = False
        return output


def cache_bytes(config: Mapping[str, Any], tokens: int, width: int) -> int:
    """Bytes that keys and values of so many tokens take, each number in `width` bytes."""
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    kept = config.get("num_key_value_heads") or heads
    return 2 * config["num_hidden_layers"] * kept * size * tokens * width


def check_room(tokens: int, need: int, free: int) -> None:
    """Raise `OutOfMemoryError` if a conversation needs more bytes than are free."""
    if need > free:
        raise OutOfMemoryError(
            Sentence(
                "A conversation of {tokens} tokens needs {need:bytes} of memory here; "
                "{free:bytes} is free.",
                tokens=tokens,
                need=need,
                free=free,
            ),
            "Shorten it, ask for fewer tokens, or close other programs.",
            need=need,
            free=free,
        )


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the longest beginning that two sequences share."""
    length = min(len(one), len(other))
    return next((n for n in range(length) if one[n] != other[n]), length)
