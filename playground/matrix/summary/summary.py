"""What came out of a run, counted: by model, language and kind, and one model against another."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from backends import Sentence

from ...languages.table import LANGUAGES
from ..items import KINDS
from ..run_file import Cell, Header, RunFile
from ..statistics import holm, mcnemar
from .provenance import citation, command, facts
from .tally import Paired, Tally, total_of
from .words import language_words, line, listing

OPEN = ("stays", "told")
"""Kinds that ask an open question: there is no right answer, but a language to answer in."""
APART = (*OPEN, "polite")
"""Kinds that are no part of how many answers were right: `polite` is not asked everywhere."""


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
        return total_of(chosen)

    @property
    def open_kind(self) -> str | None:
        """The kind by which a model answers in a language: `stays`, else `told`."""
        return next((kind for kind in OPEN if kind in self.kinds), None)

    def answers_in(self, side: str) -> list[str]:
        """The languages that a model answered in; see `LANGUAGE_RULE`."""
        kinds = [self.open_kind] if self.open_kind else []
        return [code for code in self.languages if self.tally(side, kinds, [code]).answers_in]

    def headline(self) -> Sentence:
        """The run in a sentence: “Asked in 23 languages: A answered in 2 of them, B in 4.”"""
        if self.open_kind is None:
            return self._headline_of_right()
        asked = {code for _, kind, code in self.tallies if kind == self.open_kind}
        counts = [(self.titles[side], len(self.answers_in(side))) for side in self.sides]
        if len(asked) == 1:
            language = language_words(min(asked))
            yes = [name for name, count in counts if count]
            came = Sentence("neither answered in {language}", language=language)
            if yes:
                came = Sentence(
                    "{names} answered in {language}", names=listing(yes), language=language
                )
            elif len(counts) != 2:
                came = Sentence("no model answered in {language}", language=language)
        else:
            language = Sentence("{n} languages", n=len(asked))
            (first, count), *others = counts
            came = Sentence.chain(
                Sentence("{name} answered in {count} of them", name=first, count=count),
                *(Sentence("{name} in {count}", name=name, count=count) for name, count in others),
                between=", ",
            )
        if self.open_kind == "told":
            how = Sentence("Asked in English to answer in {language}", language=language)
        else:
            how = Sentence("Asked in {language}", language=language)
        return Sentence("{asked}: {came}.", asked=how, came=came)

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
        return citation(self.header, [self.titles[side] for side in self.sides], self.languages)

    def facts(self) -> list[tuple[Sentence, Sentence]]:
        """What one has to know of the run beside its numbers."""
        return facts(self.run)

    def _standing(self, side: str, language: str) -> float:
        opened = self.tally(side, [self.open_kind] if self.open_kind else [], [language])
        checked = self.tally(side, self.checked, [language])
        return opened.share_stayed.share + checked.share_right.share / 1000

    def _headline_of_right(self) -> Sentence:
        parts = [
            Sentence(
                "{name} had {right} of {all} right",
                name=self.titles[side],
                right=tally.right,
                all=tally.n,
            )
            for side in self.sides
            if (tally := self.tally(side, self.checked)).n
        ]
        if len(self.languages) == 1:
            where = language_words(self.languages[0])
        else:
            where = Sentence("{n} languages", n=len(self.languages))
        came = Sentence.chain(*parts, between=", ") if parts else Sentence("nothing was answered")
        return Sentence(
            "{asked}: {came}.", asked=Sentence("Asked in {language}", language=where), came=came
        )

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
