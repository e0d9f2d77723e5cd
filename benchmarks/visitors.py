"""Many visitors at once, each as Gradio's own page would speak to its server."""

import asyncio
import json
import re
import time
import uuid
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
from gradio_client.utils import apply_diff

from benchmarks.paced import Script
from ui.markdown import render

_PATIENCE = httpx.Timeout(120)
_TAG = re.compile("<[^>]*>")


@dataclass
class Visit:
    """What one visitor got: each side's text, and when its first and last character came."""

    script: Script
    texts: tuple[str, str] = ("", "")
    first: list[float] | None = None
    last: list[float] | None = None
    """Seconds since 1970, for both sides."""
    error: str = ""
    asked: float = 0.0
    """When Compare was pressed, in seconds since 1970."""
    kept: str = ""
    """The conversation as the page keeps it at the end, in JSON."""
    in_line: bool = False
    """Whether the visitor was told a place in line."""

    @property
    def whole(self) -> bool:
        """Whether no character is missing, on either side, and none is too many."""
        said = visible_text([render(self.script.text)])
        return self.texts == (said, said)


class Visitor:
    """One visitor's session."""

    def __init__(self, client: httpx.AsyncClient, config: dict[str, Any], script: Script) -> None:
        self.client, self.session = client, uuid.uuid4().hex[:11]
        self.parts = {part["id"]: part["props"] for part in config["components"]}
        self.events = _events(config["dependencies"], self.parts)
        self.visit = Visit(script)
        self.blocks: dict[str, list[str]] = {"a": [], "b": []}

    async def open(self) -> None:
        """Open the page."""
        await self._run("open")

    async def clear(self) -> None:
        """Press Clear."""
        await self._run("clear")

    async def compare(self) -> Visit:
        """Press Compare and read both answers to their end."""
        self.visit.asked = time.time()
        try:
            await self._run("ask")
            await self._draw()
            shown = await self._run("finish")
            kept = (one for one in shown if isinstance(one, str) and one.startswith('{"'))
            self.visit.kept = next((one for one in kept if '"turns"' in one), "")
        except (httpx.HTTPError, RuntimeError) as error:
            self.visit.error = f"{type(error).__name__}: {error}"
        return self.visit

    def chosen(self) -> dict[str | None, Any]:
        """What this visitor types and picks, by the components' names."""
        chosen: dict[str | None, Any] = {"text-prompt": self.visit.script.prompt}
        for side in ("a", "b"):
            chosen |= {f"text-backend-{side}": f"paced-{side}", f"text-model-{side}": "paced"}
        return chosen

    def _data(self, event: str) -> list[Any]:
        """An event's inputs as they stand on the page, with this visitor's choices."""
        gathering = self.events["gather"]  # by the page, into one input of the event that follows
        return [
            {"values": [*map(self._value, gathering["inputs"])]}
            if number in gathering["outputs"]
            else self._value(number)
            for number in self.events[event]["inputs"]
        ]

    def _value(self, number: int) -> Any:
        part = self.parts[number]
        return self.chosen().get(part.get("elem_id"), part.get("value"))

    async def _run(self, event: str) -> list[Any]:
        return (await self._post("run/predict", event))["data"]

    async def _post(self, where: str, event: str) -> dict[str, Any]:
        body = {
            "data": self._data(event),
            "fn_index": self.events[event]["id"],
            "session_hash": self.session,
        }
        return (await self.client.post(where, json=body)).raise_for_status().json()

    async def _draw(self) -> None:
        await self._post("queue/join", "draw")
        drawn: list[Any] = []
        where = {"session_hash": self.session}
        async with self.client.stream("GET", "queue/data", params=where) as answer:
            async for line in answer.aiter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "process_generating":
                    if not message["success"]:
                        raise RuntimeError(str(message["output"]))
                    drawn = self._apply(drawn, message["output"]["data"])
                elif message["msg"] == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(str(message["output"]))
                    return

    def _apply(self, drawn: list[Any], data: list[Any]) -> list[Any]:
        new = list(map(apply_diff, drawn, data)) if drawn else data
        now, visit = time.time(), self.visit
        visit.in_line = visit.in_line or "in line" in new[0]
        cells = [*json.loads(new[0]).get("cells", {}).values()]
        for side, blocks in self.blocks.items():
            _patch(blocks, (cells[-1].get(side) if cells else None) or {})
        visit.texts = (visible_text(self.blocks["a"]), visible_text(self.blocks["b"]))
        visit.first, visit.last = visit.first or [0.0, 0.0], visit.last or [0.0, 0.0]
        for side, text in enumerate(visit.texts):
            if text and not visit.first[side]:
                visit.first[side] = now
            if text.endswith(visit.script.end) and not visit.last[side]:
                visit.last[side] = now
        return new


def _events(found: list[dict[str, Any]], parts: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The events of the Text tab: of its opening, of Clear, and the four of Compare."""
    after = {event["trigger_after"]: event for event in found}
    pressed = {
        parts[part].get("elem_id"): event
        for event in found
        for part, what in event["targets"]
        if what == "click"
    }
    gather = pressed["text-compare"]
    ask = after[gather["id"]]
    draw = after[ask["id"]]
    opens = next(event for event in found if event["api_name"] == "open")
    return {
        "open": opens,
        "clear": pressed["text-clear"],
        "gather": gather,
        "ask": ask,
        "draw": draw,
        "finish": after[draw["id"]],
    }


def _patch(blocks: list[str], cell: dict[str, Any]) -> None:
    """Bring the blocks of an answer up to date, as `transcript.js` does."""
    if "blocks" not in cell:
        return
    count = cell["blocks"]["count"]
    blocks[:] = [*blocks[:count], *[""] * (count - len(blocks))]
    for index, keep, tail in cell["blocks"]["set"]:
        blocks[index] = blocks[index][:keep] + tail  # all of it is ASCII


def visible_text(blocks: list[str]) -> str:
    return " ".join(unescape(_TAG.sub("", "".join(blocks))).split())


def client_of(url: str) -> httpx.AsyncClient:
    """A client for the requests that a page sends to its server at `url`."""
    # The server closes idle connections after 5 s: never reuse one that it is just closing.
    limits = httpx.Limits(max_connections=None, keepalive_expiry=2)
    return httpx.AsyncClient(base_url=f"{url}gradio_api/", limits=limits, timeout=_PATIENCE)


async def config_of(url: str, client: httpx.AsyncClient) -> dict[str, Any]:
    """The components and events of a page."""
    return (await client.get(f"{url}config")).raise_for_status().json()


async def visit_all(url: str, count: int, tokens: int, rate: int) -> list[Visit]:
    """So many visitors open the page one by one, then all press Compare in the same instant."""
    async with client_of(url) as client:
        config = await config_of(url, client)
        scripts = [Script(tokens, rate, f"VISITOR-{n}") for n in range(count)]
        visitors = [Visitor(client, config, script) for script in scripts]
        for visitor in visitors:
            await visitor.open()
        return await asyncio.gather(*(visitor.compare() for visitor in visitors))
