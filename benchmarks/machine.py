"""Figures beside their targets, and the machine they were measured on."""

import json
import os
import platform
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured value; with a target it is `ok` or `MISSED`, without one it is information."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    more_than: bool = False
    """It was not waited for to the end: the true value lies above."""

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.at_most is None and self.at_least is None:
            return ""
        low = self.at_least is None or self.value >= self.at_least
        high = self.at_most is None or self.value <= self.at_most
        return "ok" if low and high else "MISSED"

    def __str__(self) -> str:
        value = f"{'> ' * self.more_than}{_number(self.value)} {self.unit}".strip()
        bounds = [f"<= {_number(self.at_most)}"] if self.at_most is not None else []
        bounds += [f">= {_number(self.at_least)}"] if self.at_least is not None else []
        return f"{self.name:<58}{value:>14}   {' and '.join(bounds):<12} {self.verdict}".rstrip()

    def to_json(self) -> dict[str, object]:
        """As it stands in the results."""
        row: dict[str, object] = {"figure": self.name, "value": round(self.value, 3)}
        for name, value in (
            ("unit", self.unit),
            ("more_than", self.more_than),
            ("at_most", self.at_most),
            ("at_least", self.at_least),
            ("verdict", self.verdict),
        ):
            if value not in ("", None, False):
                row[name] = value
        return row


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine(*packages: str) -> dict[str, object]:
    """What it is measured on: processor, memory, load, Python, and the packages' versions."""
    import psutil

    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def write(
    name: str,
    machine_before: Mapping[str, object],
    figures: Sequence[Figure],
    measured: Mapping[str, object],
    *,
    entry: str = "",
    arguments: Sequence[str] = (),
) -> None:
    """Keep the figures, and everything they were made from, in `results/<name>.json`.

    With an `entry` the file has several, each by its name, and the others stay as they are.
    `arguments` are those of the command that chose what was measured.
    """
    result = {
        "command": shlex.join(["python", "-m", f"benchmarks.{name}", *arguments]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": dict(machine_before),
        "figures": [figure.to_json() for figure in figures],
        "measured": dict(measured),
    }
    path = RESULTS / f"{name}.json"
    if entry:
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        result = kept | {entry: result}
    text = json.dumps(result, ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
