"""What came out of a run, counted: by model, language and kind, and one model against another."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ..languages.table import LANGUAGES
from ..text import strip_controls
from .items import KINDS
from .run_file import Cell, Header, RunFile, RunModel
from .statistics import Interval, holm, mcnemar, sentence, wilson

OPEN = ("stays", "told")
"""Kinds that ask an open question: there is no right answer, but a language to answer in."""
APART = (*OPEN, "polite")
"""Kinds that are no part of how many answers were right: `polite` is not asked everywhere."""
TITLES: Mapping[str, str] = {
    "stays": "Open question in the language",
    "told": "Open question in English, “answer in …”",
    "sum_one": "Word problem of one step",
    "sum_two": "Word problem of two steps",
    "price": "Local price to a plain number",
    "date": "Local date to ISO 8601",
    "json": "Sentence to JSON",
    "yes_no": "Yes or no, about numbers",
    "count": "Words of a list, counted",
    "copy": "Sentence, repeated exactly",
    "to_english": "Word to English",
    "from_english": "Word from English",
    "order": "Numbers, sorted",
    "format": "A form, kept to",
    "digits": "Number in words to digits",
    "polite": "Polite letter",
    "code": "Code with comments in the language",
}
LANGUAGE_RULE = (
    "A model answered in a language if more than half of its answers to the open questions there "
    "are in that language; an answer whose language cannot be decided is not."
)
COUNT_RULE = (
    "k/n: right answers of all that were given, with Wilson's 95 % interval. Unreadable answers "
    "(cut off, ambiguous, in no form that could be read) are not right, and are counted beside. "
    "What could not be asked for is in no number. In the mean each language counts alike."
)
PAIRED_RULE = (
    "A difference is one on the same items: McNemar's exact test on those that one model alone had "
    "right, adjusted for the number of languages by Holm's method, at 5 %."
)


@dataclass(slots=True)
class Tally:
    """Answers of one model, counted."""

    right: int = 0
    wrong: int = 0
    unreadable: int = 0
    stayed: int = 0
    left: int = 0
    undecided: int = 0
    failed: int = 0
    """Not asked, as its connection failed."""
    seconds: float = 0.0
    timed: int = 0
    read: int = 0
    written: int = 0

    def add(self, cell: Cell) -> None:
        """Count one more."""
        if cell.error is not None or cell.outcome is None:
            self.failed += 1
            return
        self.right += cell.outcome == "right"
        self.wrong += cell.outcome == "wrong"
        self.unreadable += cell.outcome == "unreadable"
        self.stayed += cell.stayed == "stayed"
        self.left += cell.stayed == "left"
        self.undecided += cell.stayed == "undecided"
        if cell.seconds is not None:
            self.seconds += cell.seconds
            self.timed += 1
        self.read += cell.prompt_tokens or 0
        self.written += cell.answer_tokens or 0

    @property
    def n(self) -> int:
        """Answers that were given."""
        return self.right + self.wrong + self.unreadable

    @property
    def in_languages(self) -> int:
        """Those that had a language to be in."""
        return self.stayed + self.left + self.undecided

    @property
    def answers_in(self) -> bool:
        """Whether most of them are in their language."""
        return 2 * self.stayed > self.in_languages

    @property
    def share_right(self) -> Interval:
        """Share of right answers, with its interval."""
        return wilson(self.right, self.n)

    @property
    def share_stayed(self) -> Interval:
        """Share of answers in their language, with its interval."""
        return wilson(self.stayed, self.in_languages)


@dataclass(frozen=True, slots=True)
class Paired:
    """One model against another in one language, on the items that both answered."""

    language: str
    a: str
    b: str
    n: int
    a_only: int
    b_only: int
    p: float
    """Adjusted by Holm's method."""
    tests: int

    @property
    def words(self) -> str:
        """What it shows, in a sentence."""
        return sentence(
            self.n, self.a_only, self.b_only, a=self.a, b=self.b, p=self.p, tests=self.tests
        )


@dataclass
class Summary:
    """A run, counted."""

    run: RunFile
    tallies: dict[tuple[str, str, str], Tally] = field(init=False)
    """By side, kind and language."""

    def __post_init__(self) -> None:
        self.tallies = defaultdict(Tally)
        for cell in self.run.cells:
            kind, language, _ = cell.place
            self.tallies[cell.side, kind, language].add(cell)

    @property
    def header(self) -> Header:
        """What was asked of whom."""
        return self.run.header

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """The sides, in order."""
        return tuple(model.side for model in self.header.models)

    @cached_property
    def titles(self) -> dict[str, str]:
        """What the models are called, by side: two of one name have their backends' names too."""
        every = [model.title for model in self.header.models]
        return {
            model.side: line(model.title)
            if every.count(model.title) == 1
            else line(f"{model.title} ({model.backend})")
            for model in self.header.models
        }

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Languages that have answers: the worst first, by what its best model stayed in or had
        right there."""
        found = {language for _, _, language in self.tallies}

        def best(language: str) -> float:
            return max(
                (self._standing(side, language) for side in self.sides),
                default=0.0,
            )

        order = [code for code in LANGUAGES if code in found]
        order += sorted(found - set(order))
        return tuple(sorted(order, key=best))

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Kinds that have answers, in the usual order."""
        found = {kind for _, kind, _ in self.tallies}
        return (*(kind for kind in KINDS if kind in found), *sorted(found - set(KINDS)))

    @property
    def checked(self) -> tuple[str, ...]:
        """Kinds whose answers are right or wrong."""
        return tuple(kind for kind in self.kinds if kind not in APART)

    def tally(
        self,
        side: str,
        kinds: Iterable[str] | None = None,
        languages: Iterable[str] | None = None,
    ) -> Tally:
        """The answers of a model to some kinds in some languages, by default all."""
        chosen = [
            tally
            for kind in (self.kinds if kinds is None else kinds)
            for language in (self.languages if languages is None else languages)
            if (tally := self.tallies.get((side, kind, language)))
        ]
        return _sum(chosen)

    @property
    def open_kind(self) -> str | None:
        """The kind by which a model answers in a language: `stays`, else `told`."""
        return next((kind for kind in OPEN if kind in self.kinds), None)

    def answers_in(self, side: str) -> list[str]:
        """The languages that a model answered in; see `LANGUAGE_RULE`."""
        kinds = [self.open_kind] if self.open_kind else []
        return [code for code in self.languages if self.tally(side, kinds, [code]).answers_in]

    def headline(self) -> str:
        """The run in a sentence: “Asked in 23 languages: A answered in 2 of them, B in 4.”"""
        if self.open_kind is None:
            return self._headline_of_right()
        asked = {code for _, kind, code in self.tallies if kind == self.open_kind}
        counts = [(self.titles[side], len(self.answers_in(side))) for side in self.sides]
        told = self.open_kind == "told"
        how = "Asked in English to answer in" if told else "Asked in"
        if len(asked) == 1:
            [code] = asked
            yes = [name for name, count in counts if count]
            name = language_name(code)
            who = _and(yes) if yes else ("neither" if len(counts) == 2 else "no model")
            return f"{how} {name}: {who} answered in {name}."
        (first, count), *others = counts
        rest = "".join(f", {name} in {count}" for name, count in others)
        return f"{how} {len(asked)} languages: {first} answered in {count} of them{rest}."

    def paired(self) -> list[Paired]:
        """Every model against the first, in each language, by what was right of the same items."""
        compared: list[tuple[str, str, int, int, int]] = []
        good = self._good(self.checked, lambda cell: cell.outcome == "right")
        for side in self.sides[1:]:
            for language in self.languages:
                both = good[self.sides[0], language].keys() & good[side, language].keys()
                pairs = [
                    (good[self.sides[0], language][item], good[side, language][item])
                    for item in both
                ]
                if pairs:
                    a_only, b_only = pairs.count((True, False)), pairs.count((False, True))
                    compared.append((language, side, len(pairs), a_only, b_only))
        values = holm([mcnemar(a_only, b_only) for *_, a_only, b_only in compared])
        return [
            Paired(
                language,
                self.titles[self.sides[0]],
                self.titles[side],
                n,
                a_only,
                b_only,
                p,
                len(compared),
            )
            for (language, side, n, a_only, b_only), p in zip(compared, values, strict=True)
        ]

    def command(self) -> str:
        """The command line that makes the same run."""
        return command(self.header)

    def citation(self) -> str:
        """How to cite the run."""
        header = self.header
        version = header.versions.get("playground", "version unknown")
        names = _and([self.titles[side] for side in self.sides])
        return line(
            f"Phi Playground {version}, matrix run {header.id} of {header.date[:10]}: {names} in "
            f"{len(self.languages)} language{'' if len(self.languages) == 1 else 's'}, seed "
            f"{header.seed}, tasks {header.tasks_hash[:12]}."
        )

    def facts(self) -> list[tuple[str, str]]:
        """What one has to know of the run beside its numbers."""
        header, settings = self.header, self.header.settings
        machine = header.machine
        memory = f"{machine.memory / 1e9:.0f} GB" if machine.memory else ""
        cores = f"{machine.cores} cores" if machine.cores else ""
        place = ", ".join(part for part in (machine.processor, cores, memory) if part)
        facts = [
            (
                "Models",
                "; ".join(f"{model.side.upper()}: {_named(model)}" for model in header.models),
            ),
            ("Begun", header.date),
            (
                "Settings",
                f"temperature {settings.temperature:g}, at most {settings.max_tokens} tokens an "
                f"answer, seed {settings.seed}, {_at_once(header)} at once",
            ),
            (
                "Tasks",
                f"{', '.join(header.kinds)}; up to {header.items} items each, seed {header.seed}, "
                f"SHA-256 {header.tasks_hash}",
            ),
            ("Versions", ", ".join(f"{name} {one}" for name, one in header.versions.items())),
            ("Machine", f"{place}; {machine.platform}" if place else machine.platform),
            ("Answers", f"{sum(1 for cell in self.run.cells if cell.error is None):,}"),
        ]
        if failed := sum(1 for cell in self.run.cells if cell.error is not None):
            facts.append(("Could not be asked for", f"{failed:,}; the same command asks again"))
        return [(name, line(fact)) for name, fact in facts]

    def _standing(self, side: str, language: str) -> float:
        opened = self.tally(side, [self.open_kind] if self.open_kind else [], [language])
        checked = self.tally(side, self.checked, [language])
        return opened.share_stayed.share + checked.share_right.share / 1000

    def _headline_of_right(self) -> str:
        parts = [
            f"{self.titles[side]} had {tally.right:,} of {tally.n:,} right"
            for side in self.sides
            if (tally := self.tally(side, self.checked)).n
        ]
        if len(self.languages) == 1:
            where = language_name(self.languages[0])
        else:
            where = f"{len(self.languages)} languages"
        return f"Asked in {where}: {', '.join(parts) or 'nothing was answered'}."

    def _good(
        self, kinds: Sequence[str], is_good: Callable[[Cell], bool]
    ) -> dict[tuple[str, str], dict[str, bool]]:
        """By side and language: whether each item was answered well."""
        found: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
        for cell in self.run.cells:
            kind, language, _ = cell.place
            if kind in kinds and cell.error is None and cell.outcome is not None:
                found[cell.side, language][cell.item] = is_good(cell)
        return found


def command(header: Header) -> str:
    """The command line of a run, with every setting."""
    among_23 = {code for code, one in LANGUAGES.items() if one.among_23}
    languages = "23" if set(header.languages) == among_23 else ",".join(header.languages)
    kinds = "all" if header.kinds == KINDS else ",".join(header.kinds)
    parts = [
        *("python", "-m", "playground.matrix", "run"),
        *("--models", ",".join(f"{one.backend}/{one.model}" for one in header.models)),
        *("--languages", languages),
        *("--tasks", kinds),
        *("--items", str(header.items)),
        *("--seed", str(header.seed)),
        *(("--max-tokens", str(most)) if (most := header.settings.max_tokens) else ()),
        *(["--parallel", parallel] if (parallel := _at_once(header)).isdecimal() else []),
        *("--out", f"runs/{header.id}.jsonl"),
    ]
    return line(" ".join(shlex.quote(part) for part in parts))


def line(text: str) -> str:
    """A text of a run file in one line, without what a terminal would take for a command."""
    return " ".join(strip_controls(text).split())


def language_name(code: str) -> str:
    """The English name of a language; its code if it is not in the table."""
    known = LANGUAGES.get(code)
    return known.english_name if known else line(code)


def percent(interval: Interval) -> str:
    """The limits of an interval: `47–91 %`."""
    return f"{100 * interval.low:.0f}–{100 * interval.high:.0f} %"


def _at_once(header: Header) -> str:
    """How many answers were asked for at once: of each side, where they differ."""
    counts = {count for count in header.parallel.values() if count}
    if len(counts) == 1:
        return str(counts.pop())
    return ", ".join(f"{side.upper()} {count}" for side, count in header.parallel.items()) or "?"


def _sum(tallies: Sequence[Tally]) -> Tally:
    total = Tally()
    for one in tallies:
        for name in Tally.__slots__:
            setattr(total, name, getattr(total, name) + getattr(one, name))
    return total


def _named(model: RunModel) -> str:
    revision = f" at {model.revision}" if model.revision else ""
    return f"{model.title} ({model.backend}/{model.model}{revision})"


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
