"""The language that an answer is expected in, and the verdict on an answer."""

from collections.abc import Iterable
from dataclasses import dataclass

from .adherence import Verdict, stays
from .demands import demanded, mentions
from .detection import detect


@dataclass(frozen=True, slots=True)
class Expectation:
    """The language that an answer is expected in."""

    prompt: str | None = None
    """The code of the language of the prompt; `None` if undecided."""
    demanded: str | None = None
    """The code of the language that was asked for; `None` without such a request."""
    allowed: frozenset[str] = frozenset()
    """Other languages that an answer may be in: one that the prompt names, such as the Thai of
    "What is tea called in Thai?", or that an earlier prompt asked for."""

    def judge(self, answer: str) -> Verdict:
        """Decide whether an answer stayed in the language that was asked for, else the prompt's."""
        expected = self.demanded or self.prompt
        if expected is None:
            return "undecided"
        verdict = stays(answer, expected, demanded=self.demanded is not None)
        others = (stays(answer, other, demanded=True) != "left" for other in self.allowed)
        return "undecided" if verdict == "left" and any(others) else verdict


NOTHING_EXPECTED = Expectation()
"""Nothing is known of a prompt: every verdict is `undecided`."""


def expect(
    prompt: str, *, answer_in: str | None = None, earlier: Iterable[str] = (), system: str = ""
) -> Expectation:
    """The language that the answer to a prompt is expected in.

    A language that is asked for counts before the prompt's own: by `answer_in` (the example's own
    field), else in the words of the prompt, else in those of the system prompt. What was asked for
    `earlier`, in other prompts, may hold on: these codes are allowed.
    """
    found = detect(prompt)
    named = mentions(prompt)
    asked = answer_in or demanded(prompt)
    allowed = frozenset[str]()
    if asked is None:
        several = {mention.code for mention in named}
        allowed = frozenset(several.union(earlier))
        asked = None if several else demanded(system)
    return Expectation(found.code if found else None, asked, allowed)
