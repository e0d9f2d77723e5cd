"""What a set of others is: where it is, under which licence, and how its rows become items."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """One question of a set, in one language."""

    prompt: str
    expected: str | int
    key: tuple[str, int]
    """What the same question has in every language."""


@dataclass(frozen=True, slots=True)
class SetOfOthers:
    """A set that others made. Nothing of it is shipped: it is fetched when somebody asks for it."""

    name: str
    """As on the command line."""
    title: str
    repository: str
    """On the Hugging Face Hub, among the data sets."""
    revision: str
    """A commit; empty where the whole of none is known: then who asks for the set names it."""
    licence: str
    licence_url: str
    citation: str
    size: str
    """What is fetched for a language, about, in words."""
    kind: Literal["choice", "math"]
    """How answers are scored."""
    max_tokens: int
    """Tokens that an answer needs."""
    files: Mapping[str, str]
    """The file of each language, by its code."""
    read: Callable[[str, str], Sequence[Row]]
    """The rows of a file's text in a language; raises `KeyError` or `ValueError`."""
    known_commit: str = ""
    """The beginning of its latest commit, where that is all that is known."""

    def notice(self, revision: str = "") -> str:
        """What whoever fetches it has to know."""
        commit = revision or self.revision or f"{self.known_commit}…"
        return (
            f"{self.title}, from huggingface.co/datasets/{self.repository} at {commit}.\n"
            f"Licence: {self.licence} ({self.licence_url}).\n"
            f"To cite: {self.citation}\n"
            f"About {self.size} a language."
        )
