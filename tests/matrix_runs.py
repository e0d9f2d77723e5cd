"""Runs of the matrix for tests: headers, cells and plans, made without a model."""

from dataclasses import dataclass
from typing import Any

from playground.matrix.items import Item
from playground.matrix.plan import Asked, Plan
from playground.matrix.run_file import Cell, Header, Outcome, RunModel, Stayed
from tests.fakes import Scripted


@dataclass(frozen=True, slots=True)
class FakeScore:
    outcome: Outcome = "right"
    found: str = ""
    why: str = ""
    stayed: Stayed | None = None


def score(item: Item, text: str, *, finished: bool) -> FakeScore:
    """Right if the text holds the answer; unreadable if it was cut off."""
    if not finished:
        return FakeScore("unreadable", "", "It was cut off.")
    right = item.expected is None or str(item.expected) in text
    stayed = "stayed" if item.answer_language else None
    return FakeScore("right" if right else "wrong", text[:20], "", stayed)


def header(**changed: Any) -> Header:
    told: dict[str, Any] = {
        "id": "20261129-120000-abcdef",
        "date": "2026-11-29T12:00:00+00:00",
        "models": (
            RunModel(side="a", backend="pocket", model="pocket-3", label="Pocket-3"),
            RunModel(side="b", backend="pocket", model="pocket-3.5", label="Pocket-3.5"),
        ),
        "kinds": ("stays", "sum_one"),
        "languages": ("en", "de"),
        "items": 2,
        "seed": 1,
        "tasks_hash": "0" * 64,
        "versions": {"playground": "0.2.0", "python": "3.11.7", "onnxruntime": "1.31.1"},
    }
    return Header(**{**told, **changed})


def cell(item: str = "sum_one/en/0", side: str = "a", **told: Any) -> Cell:
    values: dict[str, Any] = {
        "prompt": "1 + 1?",
        "expected": 2,
        "answer": "2",
        "finish": "stop",
        "outcome": "right",
        "seconds": 1.5,
        "answer_tokens": 3,
        "prompt_tokens": 9,
        **told,
    }
    return Cell(item=item, side=side, **values)


def items(count: int = 2, languages: tuple[str, ...] = ("en", "de")) -> tuple[Item, ...]:
    return tuple(
        Item(kind, language, index, f"{kind} {language} {index}?", "?", expected, answer_language)
        for index in range(count)
        for kind, expected in (("stays", None), ("sum_one", index))
        for language in languages
        for answer_language in (language if kind == "stays" else None,)
    )


def plan(*backends: Scripted, count: int = 2, **changed: Any) -> Plan:
    models = tuple(
        Asked(side, backend, "fake", f"Fake {side.upper()}")
        for side, backend in zip("abc", backends, strict=False)
    )
    return Plan(models, items(count), ("stays", "sum_one"), ("en", "de"), count, **changed)
