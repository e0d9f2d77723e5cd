"""The transcript's messages: whoever skips some of them still shows what was said."""

import json
import random
from typing import Any

import pytest

from playground.conversation import AnswerRecord, Conversation, Turn
from ui.compare.session import Session
from ui.compare.transcript import HERE, SCRIPTS
from ui.compare.transcript.growing import WINDOW, Growing, common_prefix
from ui.compare.transcript.rows import Cell, Rows
from ui.markdown import render
from ui.texts import say


class Page:
    """What `transcript.js` and `cells.js` make of messages, without drawing it."""

    def __init__(self) -> None:
        self.number = 0
        self.cells: dict[tuple[str, str], dict[str, Any]] = {}
        self.missed = False

    def take(self, message: str) -> None:
        told = json.loads(message)
        if told["n"] <= self.number and told["since"]:
            return
        if told["since"] > self.number:
            self.missed = True
            return
        self.number = told["n"]
        self.cells = {key: cell for key, cell in self.cells.items() if int(key[0]) in told["order"]}
        for row, cells in told.get("cells", {}).items():
            for letter, fields in cells.items():
                if fields is None:
                    self.cells.pop((row, letter), None)
                else:
                    self._patch(self.cells.setdefault((row, letter), {"html": []}), fields)

    @staticmethod
    def _patch(cell: dict[str, Any], fields: dict[str, Any]) -> None:
        blocks = fields.pop("blocks", None)
        for name in ("thinking", "source"):
            if name in fields:
                keep, tail = fields.pop(name)
                cell[name] = _keep(cell.get(name, ""), keep) + tail
        cell |= fields
        if blocks:
            html = cell["html"]
            html[:] = [*html[: blocks["count"]], *[""] * (blocks["count"] - len(html))]
            for index, keep, tail in blocks["set"]:
                html[index] = _keep(html[index], keep) + tail


def _keep(text: str, units: int) -> str:
    """The beginning of a text by UTF-16 code units, as JavaScript counts."""
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le")


TEXT = """# 标题 😀

Some **bold** words, 😀 and a table:

| a | b |
|---|---|
| 1 | 2 |

```python
for n in range(3):
    print(n)
```

The end, with a [link] and 👨‍👩‍👧.

[link]: https://example.com
"""


@pytest.mark.parametrize("seed", range(20))
def test_a_page_that_skips_messages_shows_the_same(seed: int) -> None:
    some, rows, page = random.Random(seed), Rows(), Page()
    cell = rows.row(0).cell("a")
    page.take(rows.message(whole=True))
    at, skipped = 0, 0
    while at < len(TEXT):
        at += some.randint(1, 12)
        cell.fields.set(rows.next, state="streaming")
        cell.write(rows.next, TEXT[:at], thinking=TEXT[: at // 2])
        message = rows.message()
        skipped = 0 if some.random() < 0.4 or skipped == WINDOW - 1 else skipped + 1
        if not skipped:
            page.take(message)
    cell.write(rows.next, TEXT, TEXT, ended=True)
    page.take(rows.message())
    shown = page.cells["1", "a"]
    assert not page.missed
    assert "".join(shown["html"]) == render(TEXT) and shown["thinking"] == TEXT
    other = Page()
    other.take(rows.message(whole=True))
    assert other.cells["1", "a"] == shown


def test_one_that_skipped_too_many_asks_for_the_whole() -> None:
    rows, page = Rows(), Page()
    page.take(rows.message(whole=True))
    cell = rows.row(0).cell("a")
    for n in range(WINDOW + 2):
        cell.write(rows.next, "word " * (n + 1))
        message = rows.message()
    page.take(message)
    assert page.missed and not page.cells
    page.take(rows.message(whole=True))
    assert page.cells["1", "a"]["html"]


def test_a_message_is_as_long_as_what_is_new() -> None:
    cell, sizes = Cell(), []
    for n in range(1, 400):
        cell.write(n, "A sentence of an answer. " * n)
        sizes.append(len(json.dumps(cell.since(max(0, n - 1 - WINDOW)))))
    assert sizes[-1] < 2 * sizes[20]


def test_what_texts_begin_with_alike() -> None:
    for one, other, alike in (("", "x", 0), ("abc", "abd", 2), ("abc", "abc", 3), ("ab", "abc", 2)):
        assert common_prefix(one, other) == common_prefix(other, one) == alike
    growing = Growing()
    for n, text in enumerate(["<p>😀 a</p>", "<p>😀 ab</p>", "<p>😀 abc</p>"], 1):
        growing.become(text, n)
    assert growing.since(1) == (7, "bc</p>") and growing.since(0) == (0, "<p>😀 abc</p>")


def record(text: str, **more: Any) -> AnswerRecord:
    return AnswerRecord(model="Phi", backend="Here", text=text, **more)


def test_sides_turns_and_versions_come_and_go() -> None:
    turn = Turn(prompt="One", language="en").with_answer(0, record("A")).with_answer(1, record("B"))
    turn = turn.asked_again(1).with_answer(1, record("B2"))
    session, page = Session(conversation=Conversation(turns=(turn, Turn(prompt="Two")))), Page()
    session.show_rows()
    page.take(session.rows.message(whole=True))
    assert {key: cell["source"] for key, cell in page.cells.items()} == {
        ("1", "a"): "A", ("1", "b"): "B2"
    }  # fmt: skip
    assert page.cells["1", "b"]["version"] == [2, 2] and not page.cells["1", "a"]["version"]
    session.conversation = session.conversation.before(1).without_side(0)
    session.sides.pop(0)
    session.show_rows()
    page.take(session.rows.message())
    assert {key: cell["source"] for key, cell in page.cells.items()} == {("1", "a"): "B2"}
    session.reset()
    page.take(session.rows.message())
    assert page.cells == {}


def test_an_answer_without_text_does_not_take_an_earlier_ones_place() -> None:
    turn = Turn(prompt="One").with_answer(0, record("A")).asked_again(0)
    assert turn.answer(0) is None and len(turn.versions_of(0)) == 1
    turn = turn.with_answer(0, record("", state="stopped"))
    kept = turn.answer(0)
    assert kept and kept.text == "A" and turn.versions == ()


def test_what_a_model_thought_and_what_failed() -> None:
    thought = record("Yes.", thinking="Hm <b>", thinking_seconds=3.1, thinking_tokens=12)
    failed = record("", state="failed", error="No <server>.")
    session = Session(
        conversation=Conversation(turns=(Turn(prompt="?", answers=(thought, failed)),))
    )
    session.show_rows()
    page = Page()
    page.take(session.rows.message(whole=True))
    a, b = page.cells["1", "a"], page.cells["1", "b"]
    assert a["thinking"] == "Hm <b>"
    assert say(*a["thought"]) == "Thought for 3.10 s (12 tokens)"
    assert a["source"] == "Yes." and "Hm" not in "".join(a["html"])
    assert "No &lt;server&gt;." in b["line"] and say(*b["words"]) == "No <server>."


def test_every_part_of_the_script_runs_once() -> None:
    assert sorted(SCRIPTS) == sorted(path.name for path in HERE.glob("*.js"))
    names = [
        line.split()[1]
        for script in SCRIPTS
        for line in (HERE / script).read_text("utf-8").splitlines()
        if line.startswith("const ")
    ]
    assert len(names) == len(set(names))
