"""BenchMAX Math: the problems of MGSM in more languages, translated by machine and mended."""

import json
from typing import Any

from .declaration import Row, SetOfOthers
from .mgsm import math_row

_CODES = ("ar", "cs", "de", "en", "es", "fr", "hu", "ja", "ko", "ru", "th", "zh", "sr")


def _read(text: str, language: str) -> list[Row]:
    rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [
        math_row(row["question"], row.get("answer_number") or row["answer"], number, language)
        for number, row in enumerate(rows)
    ]


BENCHMAX = SetOfOthers(
    name="benchmax",
    title="BenchMAX Math, 250 word problems in each language",
    repository="LLaMAX/BenchMAX_Math",
    # Not pinned: of its latest commit only the beginning could be learned, c123442. Whoever asks
    # for it names the whole one.
    revision="",
    known_commit="c123442",
    licence="CC BY 4.0",
    licence_url="https://creativecommons.org/licenses/by/4.0/",
    citation=(
        "Huang et al., BenchMAX: A Comprehensive Multilingual Evaluation Suite for Large Language "
        "Models, 2025, arXiv:2502.07346."
    ),
    size="0.1 MB",
    kind="math",
    max_tokens=500,
    files={code: f"{code}/test/mgsm_{code}_test.jsonl" for code in _CODES},
    read=_read,
)
