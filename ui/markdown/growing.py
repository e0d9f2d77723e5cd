"""A text that grows: blocks that are closed are rendered once, the open one again."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from markdown_it.token import Token

from .parser import parser


@dataclass(frozen=True, slots=True)
class Block:
    """A block at the top of a text: a paragraph, a list, a table, …"""

    html: str
    start: int
    end: int
    """Where it begins and ends in the text."""


class GrowingMarkdown:
    """The blocks of a text, while it grows.

    Once a block is followed by another one, nothing that comes changes it: its HTML is kept. Only a
    definition of a link (`[1]: https://…`) reaches back, and has all of it rendered anew.
    """

    def __init__(self) -> None:
        self._text = self._held = ""
        self._closed: list[Block] = []
        self._references: dict[str, Any] = {}
        """Those of closed blocks."""
        self._used: dict[str, Any] = {}
        """Those with which the closed blocks were rendered."""
        self._blocks: tuple[Block, ...] = ()

    def append(self, piece: str) -> None:
        """Add to the end of the text."""
        if piece:
            piece, self._held = self._held + piece, ""
            if piece.endswith("\r"):  # half of a line end, perhaps
                piece, self._held = piece[:-1], "\r"
            self._text += normalized(piece)
            self._blocks = self._render()

    def end(self) -> None:
        """Render the last block as it stays: its code in colours."""
        self._text += normalized(self._held)
        if self._text:
            self._blocks = self._render(grows=False)

    def blocks(self) -> Sequence[Block]:
        """Return the blocks as they are now; there may be fewer than before."""
        return self._blocks

    def _render(self, *, grows: bool = True) -> tuple[Block, ...]:
        done = self._closed[-1].end if self._closed else 0
        found, references = _blocks_of(self._text[done:], self._references, grows=grows)
        if self._closed and references != self._used:
            # Names of links that were not known before: earlier blocks may mean them.
            found, _ = _blocks_of(self._text, references, grows=grows)
            self._closed, done = [], 0
        self._used = references
        blocks = [Block(block.html, done + block.start, done + block.end) for block in found]
        closed = _closed(blocks, self._text)
        if closed:
            known = self._references
            self._references = _references(self._text[done : closed[-1].end], known)
        self._closed += closed
        return (*self._closed, *blocks[len(closed) :])


def _closed(blocks: Sequence[Block], text: str) -> Sequence[Block]:
    """Return the blocks that nothing can change any more: a block follows them that is sure to be
    one of its own. What stands in the last line may still become an item of the list before it.
    """
    if len(blocks) < 2 or "\n" in text[blocks[-1].start :]:
        return blocks[:-1]
    return blocks[:-2]


def normalized(text: str) -> str:
    """Return a text with plain line ends, so that places in it are those of the parser."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def render(text: str) -> str:
    """Return the HTML of a whole text."""
    blocks, _ = _blocks_of(normalized(text), {}, grows=False)
    return "".join(block.html for block in blocks)


def _references(text: str, known: dict[str, Any]) -> dict[str, Any]:
    """Return the definitions of links after a text, those before it among them."""
    if "]:" not in text:
        return known
    env: dict[str, Any] = {"references": dict(known)}
    parser().parse(text, env)
    return env["references"]


def _blocks_of(
    text: str, known: dict[str, Any], *, grows: bool
) -> tuple[list[Block], dict[str, Any]]:
    """Return the blocks of a text, and the definitions of links after it."""
    md, env = parser(), {"references": dict(known), "grows": grows}
    tokens = md.parse(text, env)
    env["last"] = tokens[-1] if tokens else None
    lines = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    blocks: list[Block] = []
    for group in _groups(tokens):
        first, after = group[0].map or [0, 0]
        end = min(lines[after], len(text))
        blocks.append(Block(md.renderer.render(group, md.options, env), lines[first], end))
    return blocks, env["references"]


def _groups(tokens: Sequence[Token]) -> list[list[Token]]:
    """Divide tokens into those of each block at the top."""
    groups: list[list[Token]] = []
    depth = 0
    for token in tokens:
        if depth == 0:
            groups.append([])
        groups[-1].append(token)
        depth += token.nesting
    return groups
