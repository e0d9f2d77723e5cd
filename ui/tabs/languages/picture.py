"""The picture of a run: a row for each language, a dot with its interval for each model, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from backends import REGISTRY, Sentence
from playground.languages.table import LANGUAGES
from playground.matrix.published import Place, published
from playground.matrix.statistics import Interval
from playground.matrix.summary import Summary, Tally, language_words, percent

from ...texts import code_of, told_as

Measure = Literal["right", "stayed"]
MEASURES: dict[Measure, str] = {
    "stayed": "Answers in the language",
    "right": "Right answers",
}

_TOP, _BOTTOM = 64, 30
_NAMES, _SCALE, _GAP, _RANKS = 184, 440, 34, 190
_MARKS = {  # of each side another one, drawn about 0,0: nobody has to tell colours
    "a": '<circle r="4.6"/>',
    "b": '<path d="M-4.2-4.2h8.4v8.4h-8.4z"/>',
    "c": '<path d="M0-5.6 5.6 0 0 5.6-5.6 0z"/>',
    "d": '<path d="M0-5.2 5.2 4.2h-10.4z"/>',
}
_STYLE = (
    ".lp text{font:13px system-ui,'Noto Sans',sans-serif;fill:var(--ink)}"
    ".lp .s,.lp .s text{font-size:11px;fill:var(--muted)}"
    ".lp .n{font-size:14px}.lp .e{text-anchor:end}.lp .m{text-anchor:middle}"
    ".lp .g{stroke:var(--hairline)}.lp .w{stroke-width:1.6;fill:none}"
    ".lp .h{fill:var(--paper);stroke-width:1.6}"
)


@dataclass(frozen=True, slots=True)
class Dot:
    """What one model's answers in one language are worth."""

    side: str
    good: int
    n: int
    interval: Interval


@dataclass(frozen=True, slots=True)
class Row:
    """One language of the picture."""

    code: str
    dots: tuple[Dot, ...]
    places: tuple[tuple[str, Place], ...] = ()
    """By side, where its published score stands among those of other languages."""


def has_measure(summary: Summary, measure: Measure) -> bool:
    """Whether a run has anything to measure so."""
    return bool(summary.checked) if measure == "right" else summary.open_kind is not None


def rows(summary: Summary, measure: Measure) -> list[Row]:
    """The rows of a picture, the worst language first."""
    builds = _builds(summary)
    found: list[Row] = []
    for code in summary.languages:
        dots = tuple(
            dot for side in summary.sides[:4] if (dot := _dot(summary, measure, side, code)).n
        )
        if not dots:
            continue
        places = (
            (side, published().place(build, code))
            for side, build in builds.items()
            if build and side in _MARKS
        )
        found.append(Row(code, dots, tuple((side, one) for side, one in places if one)))
    return found


def picture(summary: Summary, measure: Measure) -> str:
    """The picture as SVG, whose colours are the page's variables; empty if nothing is measured."""
    every = rows(summary, measure)
    if not every:
        return ""
    ranks = any(row.places for row in every)
    tall = 22 if len(summary.sides) < 3 else 34
    width = _NAMES + _SCALE + 40 + ((_GAP + _RANKS) if ranks else 0)
    height = _TOP + tall * len(every) + _BOTTOM
    title = Sentence(
        "{title}, by language. The table below has the same numbers.",
        title=Sentence(MEASURES[measure]),
    )
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lp" viewBox="0 0 {width} {height}" '
        f'role="img" direction="ltr"{told_as("aria-label", title)}>'
        f"<style>{_STYLE}</style>",
        _legend(summary),
        _grid(height),
    ]
    if ranks:
        pieces.append(_rank_head(height))
    for at, row in enumerate(every):
        pieces.append(_row_svg(summary, row, _TOP + tall * at + tall // 2))
    return "".join([*pieces, "</svg>"])


def table(summary: Summary, measure: Measure) -> tuple[list[str], list[list[str]]]:
    """The same numbers as a table: heads, and a row for each language; sentences among them."""
    every = rows(summary, measure)
    heads: list[str] = [Sentence("Language"), *(summary.titles[side] for side in summary.sides)]
    ranked = [side for side in summary.sides if any(dict(row.places).get(side) for row in every)]
    heads += [Sentence("{name}, published", name=summary.titles[side]) for side in ranked]
    lines: list[list[str]] = []
    for row in every:
        dots, places = {dot.side: dot for dot in row.dots}, dict(row.places)
        told = [_words(dots[side]) if side in dots else "–" for side in summary.sides]
        ranks = [
            places[side].words if side in places else Sentence("not published") for side in ranked
        ]
        lines.append([language_words(row.code), *told, *ranks])
    return heads, lines


def published_words(summary: Summary) -> Sentence:
    """What the hollow marks are, or why there are none."""
    if not any(_builds(summary).values()):
        return Sentence(
            "Microsoft published no scores by language of these models, so none stand beside."
        )
    return Sentence(
        "Hollow marks: where the model's published score in a language stands among its scores in "
        "the other languages of the same benchmark, first to last. They are other tasks than "
        "these, so only ranks can be compared. Source: {source}. Phi-3-mini is the 128k build of "
        "June 2024 there; other builds may do better or worse.",
        source=published().source,
    )


def _dot(summary: Summary, measure: Measure, side: str, code: str) -> Dot:
    kind = summary.open_kind
    kinds: Sequence[str] = summary.checked if measure == "right" else [kind] if kind else []
    tally: Tally = summary.tally(side, kinds, [code])
    if measure == "right":
        return Dot(side, tally.right, tally.n, tally.share_right)
    return Dot(side, tally.stayed, tally.in_languages, tally.share_stayed)


def _builds(summary: Summary) -> dict[str, str | None]:
    """By side, the model whose published scores are its own; none for other models."""
    found: dict[str, str | None] = {}
    for model in summary.header.models:
        backend = REGISTRY.get(model.backend)
        key = backend.spec_of(model.model).key if backend else ""
        found[model.side] = published().model_of(key)
    return found


def _words(dot: Dot) -> str:
    return f"{dot.good}/{dot.n} ({percent(dot.interval)})"


def _x(share: float) -> str:
    return f"{_NAMES + _SCALE * share:.0f}"


def _mark(side: str, x: str, y: float) -> str:
    return f'<g transform="translate({x} {y:g})" fill="var(--{side})">{_MARKS[side]}</g>'


def _legend(summary: Summary) -> str:
    pieces: list[str] = []
    at = float(_NAMES)
    for side in summary.sides[:4]:
        name = summary.titles[side]
        shown = name if len(name) <= 30 else f"{name[:29]}…"
        pieces.append(
            f'{_mark(side, f"{at + 5:.0f}", 16)}<text x="{at + 16:.0f}" y="20.5">'
            f"{side.upper()}  {escape(shown)}</text>"
        )
        at += 46 + 7.2 * len(shown)
    return "".join(pieces)


def _grid(height: int) -> str:
    bottom = height - _BOTTOM
    lines = "".join(f"M{_x(share)} {_TOP - 8}V{bottom}" for share in (0, 0.25, 0.5, 0.75, 1))
    words = "".join(
        f'<text x="{_x(share)}" y="{y}">{share:.0%}</text>'
        for y in (_TOP - 14, bottom + 18)
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    return f'<path class="g" d="{lines}"/><g class="s m">{words}</g>'


def _rank_head(height: int) -> str:
    left = _NAMES + _SCALE + _GAP
    right = left + _RANKS - 60
    return (
        f'<g class="s">{_text("Published, ranks only", left, 20)}'
        f"{_text('last', left, _TOP - 14)}"
        f"{_text('first', right, _TOP - 14, 'e')}</g>"
        f'<path class="g" d="M{left} {_TOP - 8}V{height - _BOTTOM}M{right} {_TOP - 8}'
        f'V{height - _BOTTOM}"/>'
    )


def _text(words: str, x: int, y: int, name: str = "s") -> str:
    said = f'data-say="{code_of(words)}"'
    return f'<text class="{name}" x="{x}" y="{y}" {said}>{escape(words)}</text>'


def _row_svg(summary: Summary, row: Row, y: int) -> str:
    known = LANGUAGES.get(row.code)
    name = known.own_name if known else row.code
    mirrored = known is not None and known.direction == "rtl"
    # In a text from right to left the end is at its left.
    place = ' direction="rtl"' if mirrored else ' class="n e"'
    place = place if not mirrored else f'{place} class="n"'
    words = "; ".join(f"{summary.titles[dot.side]} {_words(dot)}" for dot in row.dots)
    pieces = [
        f"<g><title>{escape(name)}: {escape(words)}</title>"
        f'<text x="{_NAMES - 18}" y="{y + 5}" lang="{escape(row.code)}"{place}>'
        f"{escape(name)}</text>"
    ]
    for at, dot in enumerate(row.dots):
        level = y + (at - (len(row.dots) - 1) / 2) * 7
        low, high = _x(dot.interval.low), _x(dot.interval.high)
        pieces.append(
            f'<path class="w" stroke="var(--{dot.side})" d="M{low} {level:g}H{high}"/>'
            f"{_mark(dot.side, _x(dot.interval.share), level)}"
        )
    return "".join([*pieces, *_ranks_svg(row, y), "</g>"])


def _ranks_svg(row: Row, y: int) -> list[str]:
    left = _NAMES + _SCALE + _GAP
    span = _RANKS - 60
    pieces: list[str] = []
    for at, (side, place) in enumerate(row.places):
        share = 1 - (place.rank - 1) / max(1, place.among - 1)
        level = y + (at - (len(row.places) - 1) / 2) * 7
        pieces.append(
            f'<g class="h" transform="translate({left + span * share:.0f} {level:g})" '
            f'stroke="var(--{side})">{_MARKS[side]}</g>'
        )
    if row.places:
        short = row.places[0][1].benchmark.removeprefix("Multilingual ").removeprefix("MEGA ")
        pieces.append(f'<text class="s" x="{left + span + 12}" y="{y + 4}">{escape(short)}</text>')
    else:
        pieces.append("")
    return pieces
