"""A translation of the page's fixed texts, as its file has it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ORDER = ("es", "zh", "ar", "sk", "cs", "pl", "ro", "sr")
"""The languages in the order of the list on the page, after English."""


@dataclass(frozen=True)
class Translation:
    """The texts of one language, and who stands behind them."""

    by: str
    """Who translated: `machine`, or a name."""
    reviewed: str
    """Who has read it, a speaker of the language; empty until somebody has."""
    texts: Mapping[str, str]
    sources: Mapping[str, str]
    """For each text the `source_of` the English it was made from."""
    sentences: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict[str, str])
    """By their English, which is their code (see `say`): a text, or one for each plural."""

    @property
    def unread(self) -> bool:
        """True while nobody who speaks the language stands behind it."""
        return self.by == "machine" and not self.reviewed

    def stale(self, english: Mapping[str, str]) -> list[str]:
        """The keys whose English has changed since, or is gone."""
        return [
            key
            for key in self.texts
            if key not in english or self.sources[key] != source_of(english[key])
        ]

    def fresh(self, english: Mapping[str, str]) -> dict[str, str]:
        """The texts that are still those of the English ones."""
        stale = {*self.stale(english)}
        return {key: text for key, text in self.texts.items() if key not in stale}


def source_of(english: str) -> str:
    """Return the mark of an English text by which it is seen that it has changed."""
    return hashlib.sha256(english.encode()).hexdigest()[:8]


def read_translations(folder: Path = Path(__file__).parent) -> dict[str, Translation]:
    """Read the translations of a folder, by language."""
    return {code: _read(folder / f"{code}.json") for code in ORDER}


def _read(path: Path) -> Translation:
    held = json.loads(path.read_text("utf-8"))
    texts = {key: one["text"] for key, one in held["texts"].items()}
    sources = {key: one["source"] for key, one in held["texts"].items()}
    return Translation(held["by"], held["reviewed"], texts, sources, held["sentences"])
