"""The tables of a report, whatever form it takes."""

from collections.abc import Iterable, Sequence

from ..statistics import macro
from ..summary import (
    COUNT_RULE,
    OPEN,
    PAIRED_RULE,
    TITLES,
    Summary,
    Tally,
    language_name,
    line,
    percent,
)

NOTHING = "–"
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""The heads of the columns, and the rows."""


def tables(summary: Summary) -> Iterable[tuple[str, str, Table]]:
    """The tables of a report: title, rule and content."""
    names = [summary.titles[side] for side in summary.sides]
    if summary.checked:
        yield "Right, by language", COUNT_RULE, _by_language(summary, summary.checked, names)
    if summary.open_kind:
        table = _stayed_by_language(summary, names)
        rule = "k/n: answers in the language of all, with Wilson's 95 % interval."
        yield "Stayed in the language", rule, table
    if summary.checked and len(names) > 1:
        yield "One against the other", PAIRED_RULE, _paired(summary)
    yield "By task", "", _by_kind(summary, names)
    for kind in summary.kinds:
        if kind not in OPEN:
            title = f"{TITLES.get(kind, kind)} ({line(kind)})"
            yield title, "", _by_language(summary, [kind], names)
    yield "Cost", "", _cost(summary)


def _by_language(summary: Summary, kinds: Sequence[str], names: Sequence[str]) -> Table:
    rows = [
        [
            language_name(code),
            *(_right(summary.tally(side, kinds, [code])) for side in summary.sides),
        ]
        for code in summary.languages
        if any(summary.tally(side, kinds, [code]).n for side in summary.sides)
    ]
    if len(rows) > 1:
        means = (_mean(summary, side, kinds) for side in summary.sides)
        rows.append([f"Mean of {len(rows)} languages", *means])
    return ["Language", *names], rows


def _stayed_by_language(summary: Summary, names: Sequence[str]) -> Table:
    kinds = [kind for kind in OPEN if kind in summary.kinds]
    told = len(kinds) > 1
    heads = [
        f"{name}, {'asked in English' if kind == 'told' else 'asked in it'}" if told else name
        for name in names
        for kind in kinds
    ]
    rows = [
        [
            language_name(code),
            *(
                _stayed(summary.tally(side, [kind], [code]))
                for side in summary.sides
                for kind in kinds
            ),
        ]
        for code in summary.languages
    ]
    return ["Language", *heads], rows


def _paired(summary: Summary) -> Table:
    rows = [
        [
            language_name(one.language),
            *([one.b] if len(summary.sides) > 2 else []),
            str(one.n),
            str(one.a_only),
            str(one.b_only),
            f"{one.p:.3f}" if one.p >= 0.001 else "< 0.001",
            one.words,
        ]
        for one in summary.paired()
    ]
    first, *others = (summary.titles[side] for side in summary.sides)
    second = others[0] if len(others) == 1 else "the other"
    against = ["Against"] if len(others) > 1 else []
    return (
        ["Language", *against, "Items", f"{first} alone", f"{second} alone", "p", "What it shows"],
        rows,
    )


def _by_kind(summary: Summary, names: Sequence[str]) -> Table:
    rows = [
        [
            f"{TITLES.get(kind, '')} ({line(kind)})".strip(),
            *(
                _stayed(summary.tally(side, [kind]))
                if kind in OPEN
                else _right(summary.tally(side, [kind]))
                for side in summary.sides
            ),
        ]
        for kind in summary.kinds
    ]
    return ["Task", *names], rows


def _cost(summary: Summary) -> Table:
    rows: list[list[str]] = []
    for side in summary.sides:
        tally = summary.tally(side)
        rows.append(
            [
                summary.titles[side],
                f"{tally.n:,}",
                str(tally.unreadable),
                str(tally.failed),
                f"{tally.seconds / tally.timed:.2f} s" if tally.timed else NOTHING,
                f"{tally.written / tally.n:.0f}" if tally.n else NOTHING,
                f"{tally.read:,}" if tally.read else NOTHING,
                f"{tally.written:,}",
            ]
        )
    heads = ["Model", "Answers", "Unreadable", "Not asked", "Seconds each", "Tokens each"]
    return [*heads, "Tokens read", "Tokens written"], rows


def _right(tally: Tally) -> str:
    """`9/12 (47–91 %), 2 unreadable`."""
    if not tally.n:
        return NOTHING
    unreadable = f", {tally.unreadable} unreadable" if tally.unreadable else ""
    return f"{tally.right}/{tally.n} ({percent(tally.share_right)}){unreadable}"


def _mean(summary: Summary, side: str, kinds: Sequence[str]) -> str:
    """The mean of the languages, each counting alike: `41 % (38–44 %), n = 264`."""
    tallies = [summary.tally(side, kinds, [code]) for code in summary.languages]
    counts = [(tally.right, tally.n) for tally in tallies if tally.n]
    if not counts:
        return NOTHING
    mean, n = macro(counts), sum(n for _, n in counts)
    return f"{100 * mean.share:.0f} % ({percent(mean)}), n = {n:,}"


def _stayed(tally: Tally) -> str:
    if not tally.in_languages:
        return NOTHING
    undecided = f", {tally.undecided} undecided" if tally.undecided else ""
    return f"{tally.stayed}/{tally.in_languages} ({percent(tally.share_stayed)}){undecided}"
