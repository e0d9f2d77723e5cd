"""Tables that say what a server's refusal means: the first rule that matches holds."""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from .._core.errors import BackendError
from .._core.sentence import Sentence


def words(*patterns: str) -> re.Pattern[str]:
    """One pattern for any of several, in any case."""
    return re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is known of a request that failed."""

    status: int | None
    """The HTTP status; `None` where an error in a stream has none."""
    text: str
    """The error's codes and the server's message."""
    traits: frozenset[str] = frozenset()
    """Whatever else tells failures apart: names that a table explains."""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    """What the sentences of a table may name."""
    values: Mapping[str, object] = field(default_factory=dict[str, object])
    """The facts that every error of it carries."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of failure: how it is recognised, and the error that it is.

    `sentence` says what happened and `hint` what to do. Both are codes of a `Sentence`, for the
    facts of a refusal and the named groups of `text`.
    """

    kind: type[BackendError]
    sentence: str
    hint: str
    status: Container[int] | None = None
    text: re.Pattern[str] | None = None
    traits: frozenset[str] = frozenset()
    reason: str = ""
    """`values["reason"]` of the error, where its kind does not say all."""

    def error(self, refusal: Refusal) -> BackendError | None:
        """The error for a refusal of this kind; `None` for another."""
        status = refusal.status
        if self.status is not None and (status is None or status not in self.status):
            return None
        if not self.traits <= refusal.traits:
            return None
        found = self.text.search(refusal.text) if self.text else None
        if self.text and not found:
            return None
        named = found.groupdict() if found else {}
        facts = {**refusal.facts, **named}
        values = {**refusal.values, **named}
        if self.reason:
            values["reason"] = self.reason
        return self.kind(Sentence(self.sentence, **facts), Sentence(self.hint, **facts), **values)


def first_error(rules: Iterable[Rule], refusal: Refusal) -> BackendError | None:
    """The error that the first matching rule makes; `None` if none matches."""
    return next((error for rule in rules if (error := rule.error(refusal))), None)
