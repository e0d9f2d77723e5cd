"""A run as the page shows it: its sentence, models, tasks, facts, and one item with its answers."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from backends import REGISTRY, Sentence
from playground.languages.table import LANGUAGES
from playground.matrix.asking import ASKED, OWN, english_of, shipped_names
from playground.matrix.recorded import has_pace
from playground.matrix.report import expected_text
from playground.matrix.run_file import Cell, RunFile, RunModel
from playground.matrix.summary import APART, LANGUAGE_RULE, TITLES, Summary, language_words
from playground.matrix.summary.words import listing

from .picture import MEASURES, has_measure, picture, published_words, table

SHORT: Mapping[str, str] = {
    "stays": "Open",
    "told": "Told",
    "sum_one": "Sum",
    "sum_two": "Sums",
    "price": "Price",
    "date": "Date",
    "json": "JSON",
    "yes_no": "Yes/no",
    "count": "Count",
    "copy": "Copy",
    "to_english": "Word →",
    "from_english": "→ word",
    "order": "Order",
    "format": "Form",
    "digits": "Digits",
    "polite": "Polite",
    "code": "Code",
}
"""Names of tasks for the head of a narrow column."""
FAMILIES: Mapping[str, str] = {
    **dict.fromkeys(("da", "nl", "en", "de", "no", "sv"), "Germanic"),
    **dict.fromkeys(("fr", "it", "pt", "ro", "es"), "Romance"),
    **dict.fromkeys(("cs", "pl", "ru", "sr", "sk", "uk"), "Slavic"),
    **dict.fromkeys(("fi", "hu"), "Uralic"),
    **dict.fromkeys(("ar", "he"), "Semitic"),
    **dict.fromkeys(("zh", "ja", "ko", "th", "tr"), "Each of a family of its own"),
}
"""Language families, by language."""
LONGEST_LINK = 7000
"""Servers refuse a request line of 8 KB."""


def language_rows() -> list[dict[str, Any]]:
    """The languages as the page has them."""
    return [
        {
            "code": one.code,
            "name": one.own_name,
            "english": one.english_name,
            "script": one.script,
            "dir": one.direction,
            "family": Sentence(FAMILIES[one.code]).dump(),
        }
        for one in LANGUAGES.values()
    ]


def run_fields(run: RunFile, origin: str) -> dict[str, Any]:
    """What stands around the cells of a run; `origin` says where it comes from."""
    summary = Summary(run)
    return {
        "headline": headline(summary),
        "rule": Sentence(LANGUAGE_RULE) if summary.open_kind else "",
        "origin": Sentence.of(origin),
        "models": [_model(model, summary) for model in run.header.models],
        "kinds": [_kind(kind) for kind in _kinds_of(summary)],
        "order": list(summary.languages) or list(run.header.languages),
        "asks": asks(run),
        "facts": summary.facts(),
        "command": summary.command(),
    }


def live_fields(run: RunFile) -> dict[str, Any]:
    """The part of it that changes while a run goes on."""
    summary = Summary(run)
    return {
        "headline": headline(summary),
        "rule": Sentence(LANGUAGE_RULE) if summary.open_kind else "",
    }


def headline(summary: Summary) -> Sentence:
    """What came out, in a sentence; before anything came, what is asked."""
    if summary.languages:
        return summary.headline()
    names, codes = [*summary.titles.values()], summary.header.languages
    where = Sentence("{n} languages", n=len(codes))
    if len(codes) == 1:
        where = language_words(codes[0])
    return Sentence("Asking {names} in {language}.", names=listing(names), language=where)


def pictures(run: RunFile) -> list[dict[str, Any]]:
    """The pictures of a run, each with the same numbers as a table."""
    summary = Summary(run)
    found: list[dict[str, Any]] = []
    for measure, title in MEASURES.items():
        if has_measure(summary, measure) and (svg := picture(summary, measure)):
            heads, rows = table(summary, measure)
            found.append(
                {
                    "id": measure,
                    "title": Sentence(title),
                    "svg": svg,
                    "heads": heads,
                    "rows": rows,
                    "note": published_words(summary),
                }
            )
    return found


def asks(run: RunFile) -> Sentence:
    """What a run asks, in a few words."""
    kinds, count = run.header.kinds, run.header.items
    if kinds == (OWN,):
        return Sentence("own prompts")
    if kinds == (ASKED,):
        return Sentence("asked in English: “{said}”", said=run.header.texts.get("en", "")[:80])
    if names := shipped_names(kinds):
        return Sentence("{n} prompts", one="one prompt", n=len(names))
    tasks = Sentence("{n} tasks", one="{n} task", n=len(kinds))
    each = Sentence("{n} items each", one="{n} item each", n=count)
    return Sentence.chain(tasks, each, between=", ")


def detail(run: RunFile, item: str, file: str = "") -> dict[str, Any] | None:
    """One item with the answers of all models; `None` if it was not asked.

    `file` is the listed one that the run was read from: its answers can be played.
    """
    found = {cell.side: cell for cell in run.cells if cell.item == item}
    if not found:
        return None
    first = next(iter(found.values()))
    kind, language, _ = first.place
    english = english_of(run.header, item, first.prompt)
    known = LANGUAGES.get(language)
    in_english = kind == "told"
    titles = Summary(run).titles
    answered = {"to_english": "en"}.get(kind, language)
    return {
        "item": item,
        "language": language_words(language),
        "kind": _title(kind),
        "prompt": first.prompt,
        "lang": "en" if in_english else language,
        "dir": "ltr" if in_english or known is None else known.direction,
        "english": english if english != first.prompt else "",
        "expected": expected_text(first),
        "link": link(run, {"prompt": first.prompt}),
        "play": link(run, {"recording": file, "item": item})
        if file and has_pace(run, item)
        else "",
        "answers": [
            _answer(model.side, titles[model.side], found.get(model.side), answered)
            for model in run.header.models
        ],
    }


def link(run: RunFile, more: Mapping[str, str]) -> str:
    """The address of the Text tab with these models, and with more unless that is too long."""
    settings = run.header.settings
    sides = {one.side: f"{one.backend}/{one.model}" for one in run.header.models[:4]}
    query = {**sides, "temperature": f"{settings.temperature:g}"}
    if settings.max_tokens:
        query["max_tokens"] = str(settings.max_tokens)
    if settings.seed is not None:
        query["seed"] = str(settings.seed)
    whole = "?" + urlencode({**query, **more}, safe="/")
    return whole if len(whole) <= LONGEST_LINK else "?" + urlencode(query, safe="/")


def _answer(side: str, name: str, cell: Cell | None, language: str) -> dict[str, Any]:
    if cell is None:
        return {"side": side, "name": name, "missing": Sentence("It was not asked this yet.")}
    known = LANGUAGES.get(language) if cell.stayed == "stayed" else None
    return {
        "side": side,
        "name": name,
        "text": cell.answer,
        "lang": known.code if known else "",
        "dir": known.direction if known else "auto",
        "outcome": cell.outcome or "",
        "stayed": cell.stayed or "",
        "why": Sentence.of(cell.why) if cell.why else "",
        "missing": Sentence("It could not be asked: {error}", error=cell.error)
        if cell.error
        else "",
        "numbers": _numbers(cell),
    }


def _numbers(cell: Cell) -> Sentence:
    """What an answer took, in a few words each."""
    found: list[Sentence] = []
    if cell.seconds is not None:
        found.append(Sentence("{time:duration}", time=cell.seconds))
    if cell.first_token is not None:
        found.append(Sentence("first token after {time:duration}", time=cell.first_token))
    if cell.answer_tokens is not None:
        found.append(Sentence("{n} tokens", one="{n} token", n=cell.answer_tokens))
    if cell.prompt_tokens is not None:
        found.append(Sentence("{tokens} in the prompt", tokens=cell.prompt_tokens))
    if cell.finish == "length":
        found.append(Sentence("cut off"))
    return Sentence.chain(*found, between=" · ")


def _title(kind: str) -> str:
    """The title of a task; of one that is not ours, its name."""
    return Sentence(TITLES[kind]) if kind in TITLES else kind


def _model(model: RunModel, summary: Summary) -> dict[str, Any]:
    backend = REGISTRY.get(model.backend)
    spec = backend.spec_of(model.model) if backend else None
    return {
        "side": model.side,
        "name": summary.titles[model.side],
        "place": backend.label if backend else model.backend,
        "demo": spec is not None and spec.lifecycle == "demonstration",
    }


def _kinds_of(summary: Summary) -> list[str]:
    """The kinds that are shown as columns: those of the answers, else those that are asked for."""
    kinds = summary.header.kinds
    if kinds == (ASKED,):
        return ["told"]
    if kinds == (OWN,) or shipped_names(kinds):
        return ["stays"]
    known = [kind for kind in TITLES if kind in {*kinds, *summary.kinds}]
    return [*known, *(kind for kind in summary.kinds if kind not in known)]


def _kind(kind: str) -> dict[str, Any]:
    return {
        "id": kind,
        "title": _title(kind),
        "short": Sentence(SHORT[kind]) if kind in SHORT else kind[:10],
        "checked": kind not in APART,
    }
