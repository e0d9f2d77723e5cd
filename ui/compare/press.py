"""What a visitor pressed in the transcript, as far as it makes sense now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..events import told
from .side import letter_of

if TYPE_CHECKING:
    from .session import Session

T = TypeVar("T")


@dataclass(frozen=True)
class Press:
    """A button of a row or of an answer; `None` for a turn or a side that is not there any more."""

    act: str
    turn: int | None
    side: int | None
    text: str | None = None
    """An edited prompt."""
    version: int | None = None

    @classmethod
    def read(cls, press: Any, session: Session) -> Self:
        """What the transcript tells of a press; it comes from the page, and is not trusted."""
        said = told(press, "act", "turn", "side", "text", "index")
        letters = [letter_of(side) for side in range(len(session.sides))]
        return cls(
            act=_if(str, said["act"]) or "",
            turn=session.rows.index_of(said["turn"]),
            side=letters.index(said["side"]) if said["side"] in letters else None,
            text=_if(str, said["text"]),
            version=_if(int, said["index"]),
        )


def _if(kind: type[T], value: Any) -> T | None:
    return value if isinstance(value, kind) else None
