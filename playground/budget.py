"""What visitors may ask of hosted services on this page's own keys, in a day."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

from backends import RateLimitError

SHARE = 10
"""One visitor may take at most a tenth of a day's budget."""


@dataclass(slots=True)
class Spending:
    """One request to a service: what it may take, and what it has taken in the end."""

    tokens: int
    """At first the most that it may take, prompt and answer; whoever asks corrects it."""


class Budget:
    """Requests and tokens of a day (UTC), of all visitors together, and a share for each."""

    def __init__(self, requests: int, tokens: int) -> None:
        self.requests, self.tokens = requests, tokens
        self._day: date | None = None
        self._requests: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    @contextmanager
    def spending(self, visitor: str, tokens: int) -> Generator[Spending, None, None]:
        """Ask once, for at most so many tokens; what was not used is given back.

        Raises `RateLimitError` if the day's budget, or the visitor's share of it, is spent.
        """
        day = self._today()
        self._check(visitor, tokens)
        self._add(visitor, 1, tokens)
        spent = Spending(tokens)
        try:
            yield spent
        finally:
            if day == self._today():
                self._add(visitor, 0, spent.tokens - tokens)

    def spend(self, requests: int) -> bool:
        """Spend requests of the page's own, as for trying models; whether there were as many."""
        self._today()
        if self._requests.total() + requests > self.requests:
            return False
        self._requests[""] += requests
        return True

    def _check(self, visitor: str, tokens: int) -> None:
        for most, used in ((self.requests, self._requests), (self.tokens, self._tokens)):
            asked = 1 if used is self._requests else tokens
            if used.total() + asked > most:
                what = (
                    "All visitors together have used up what this page gives of this service in a "
                    "day."
                )
            elif used[visitor] + asked > most // SHARE:
                what = "You have used up what this page gives of this service in a day."
            else:
                continue
            raise RateLimitError(
                what,
                "It starts anew at midnight UTC. Until then, type a key of your own on the Models "
                "tab, or choose a model that runs on this page.",
            )

    def _add(self, visitor: str, requests: int, tokens: int) -> None:
        self._requests[visitor] += requests
        self._tokens[visitor] += tokens

    def _today(self) -> date:
        """The day; with a new one, everything is as if nothing had been spent."""
        today = datetime.now(UTC).date()
        if today != self._day:
            self._day = today
            self._requests.clear()
            self._tokens.clear()
        return today
