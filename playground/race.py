"""A race: models timed one after the other in several rounds, as medians with their spread."""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from . import VERSION
from .answer import AnswerSnapshot, Request
from .clock import Clock
from .compare import complete
from .machine import Machine, busy, machine
from .model_names import NamedModel
from .numbers import format_bytes, format_duration

BUSY = 0.2
"""Share of the processors that others may take before it is said."""


@dataclass(frozen=True, slots=True)
class Lap:
    """One answer that was timed: of which model, in which round, and its clock."""

    side: int
    round: int
    clock: Clock


@dataclass
class Race:
    """Models, what each is asked, and what was timed so far. Raises what `complete` told."""

    models: Sequence[NamedModel]
    requests: Sequence[Request]
    laps: list[Lap] = field(default_factory=list[Lap])
    begun: str = ""
    others: float = 0.0
    """Share of this machine's processors that was taken when none of the models was at work."""
    machine: Machine = field(default_factory=machine)

    async def run(self, rounds: int) -> AsyncGenerator[str, None]:
        """Race for so many rounds after one that does not count; says what is done before it is."""
        self.begun = datetime.now(UTC).isoformat(timespec="seconds")
        order = list(range(len(self.models)))
        for number in range(rounds + 1):
            for side in order if number % 2 else reversed(order):
                label = self.models[side].label
                what = f"round {number} of {rounds}" if number else "warm-up"
                yield f"{label}, {what}…"
                answer = await complete(self.requests[side])
                self._add(Lap(side, number, answer.clock), answer)
            if not number:  # all are loaded, and none is at work
                self.others = await busy()

    def _add(self, lap: Lap, answer: AnswerSnapshot) -> None:
        if answer.error:
            raise answer.error
        if lap.round:
            self.laps.append(lap)

    def rows(self) -> list[tuple[str, ...]]:
        """A figure in each row: its name, and how it is of each model."""
        told = [self._figures(side) for side in range(len(self.models))]
        return [(name, *(figures[name] for figures in told)) for name in told[0]]

    def _figures(self, side: int) -> dict[str, str]:
        clocks = [lap.clock for lap in self.laps if lap.side == side]
        about = "about " * any(clock.token_source == "estimate" for clock in clocks)
        speeds = [speed for clock in clocks if (speed := clock.tokens_per_second)]
        firsts = [clock.first_token for clock in clocks if clock.first_token is not None]
        tokens = [clock.tokens for clock in clocks] or [0]
        counted = [f"{count:,}" for count in sorted({min(tokens), max(tokens)})]
        return {
            "tokens/s": _spread([f"{about}{x:.1f}" for x in _three(speeds)]),
            "first token": _spread([format_duration(x) for x in _three(firsts)]),
            "whole answer": _spread(
                [format_duration(x) for x in _three([clock.total for clock in clocks])]
            ),
            "tokens": about + "–".join(counted),
            "rounds": str(len(clocks)),
            "device": ", ".join(sorted({clock.device or "not told" for clock in clocks})) or "–",
        }

    def remarks(self) -> list[str]:
        """What one has to know before the figures are compared, a sentence each."""
        here = self.machine
        memory = f", {format_bytes(here.memory)}" if here.memory else ""
        said = [
            "Median (least–most), after a warm-up that does not count; one after the other, the "
            "order turned round in each round.",
            f"Machine: {here.processor}, {here.cores} cores{memory}, {here.platform}.",
            self._devices(),
        ]
        if self.others > BUSY:
            said.append(
                f"Other programs took {self.others:.0%} of its processors while no model was at "
                "work: on a machine at rest, models on it are faster."
            )
        if any(lap.clock.token_source == "estimate" for lap in self.laps):
            said.append("Tokens that nobody counted are estimates: “about”.")
        return said

    def _devices(self) -> str:
        """Whether they had the same device, and to themselves."""
        devices = [
            {lap.clock.device for lap in self.laps if lap.side == side}
            for side in range(len(self.models))
        ]
        if not self.laps or any(None in found or not found for found in devices):
            return (
                "Where a server does not tell its device, others may have used it at the same time."
            )
        if len(self.models) == 1:
            return "It had the device to itself, as far as this program knows."
        if all(found == devices[0] for found in devices):
            return "All ran on the same device, never at the same time: none slowed another down."
        return "They ran on different devices: the figures compare these, too."

    def to_json(self) -> str:
        """Every lap, for programs."""
        laps = [
            {
                "model": self.models[lap.side].name,
                "round": lap.round,
                "tokens": lap.clock.tokens,
                "token_source": lap.clock.token_source,
                "tokens_per_second": _rounded(lap.clock.tokens_per_second, 2),
                "first_token": _rounded(lap.clock.first_token, 4),
                "total": _rounded(lap.clock.total, 4),
                "device": lap.clock.device,
            }
            for lap in self.laps
        ]
        prompt = self.requests[0].messages[-1].text
        found = {
            "format": "phi-playground/race",
            "format_version": 1,
            "made_with": VERSION,
            "asked_at": self.begun,
            "prompt": prompt,
            "max_tokens": self.requests[0].params.max_tokens,
            "models": [{"name": one.name, "label": one.label} for one in self.models],
            "machine": self.machine.model_dump(),
            "processors_taken_by_others": round(self.others, 2),
            "laps": laps,
            "remarks": self.remarks(),
        }
        return json.dumps(found, indent=2, ensure_ascii=False)


def _three(figures: Sequence[float]) -> tuple[float, ...]:
    """Median, least and most."""
    return (median(figures), min(figures), max(figures)) if figures else ()


def _spread(texts: Sequence[str]) -> str:
    if not texts:
        return "not known"
    middle, least, most = texts
    return middle if least == most else f"{middle} ({least}–{most})"


def _rounded(figure: float | None, digits: int) -> float | None:
    return None if figure is None else round(figure, digits)
