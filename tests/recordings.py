"""Exchanges with real Ollamas, recorded once, as replies of a scripted server.

Three versions were built from source and driven on two cores without a GPU, with both Pockets as
GGUF (`phi3:mini`, `phi3.5`), SmolLM2-135M-Instruct and `thinker`, which is SmolLM2 with a template
that opens a `<think>`. The lines are as they came, each with the milliseconds since the request,
but for `created_at` and the middle of long answers.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.stub import Piece, Reply, Stub

_FILE = Path(__file__).parent / "data" / "ollama" / "exchanges.jsonl"
_PLAIN = {
    "/api/version": {"version": ""},
    "/api/tags": {"models": []},
    "/api/ps": {"models": []},
    "/api/show": {},
}
"""What is answered where nothing was recorded."""


@dataclass(frozen=True)
class Exchange:
    """One request's path and response."""

    path: str
    status: int
    content_type: str
    lines: tuple[tuple[int, str], ...]
    """Milliseconds since the request, and the line without its end."""
    left_out: int = 0
    """Lines from the middle that are not kept."""

    @property
    def objects(self) -> list[dict[str, object]]:
        """The lines as JSON."""
        return [json.loads(line) for _, line in self.lines]

    def reply(self, pause_before: Mapping[int, asyncio.Event] = {}) -> Reply:
        """It as a reply without its pauses, but for those before some lines, by their index."""
        end = b"\n\n" if "event-stream" in self.content_type else b"\n"
        pieces: list[Piece] = []
        for index, (_, line) in enumerate(self.lines):
            if index in pause_before:
                pieces.append(pause_before[index])
            pieces.append(line.encode() + end)
        headers = {"content-type": self.content_type} if self.content_type else {}
        return Reply(pieces, self.status, headers)


@cache
def exchanges(version: str) -> dict[str, Exchange]:
    """The exchanges with one version, by name."""
    rows = map(json.loads, _FILE.read_text("utf-8").splitlines())
    return {
        row["name"]: Exchange(
            row["path"],
            row["status"],
            row["type"],
            tuple(map(tuple, row["lines"])),
            row.get("left_out", 0),
        )
        for row in rows
        if row["version"] == version
    }


def play(stub: Stub, version: str, name: str, **pauses: Mapping[int, asyncio.Event]) -> Exchange:
    """Have a stub answer as an Ollama of a version did, in one exchange and all around it."""
    known = exchanges(version)
    for path, plain in _PLAIN.items():
        kept = known.get(path.rpartition("/")[2])
        stub.on(path, kept.reply() if kept else Reply.of(plain))
    exchange = known[name]
    stub.on(exchange.path, exchange.reply(**pauses))
    return exchange
