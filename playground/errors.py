"""Errors that are made for a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends import Sentence


class ReaderError(Exception):
    """Its text is for the reader: one sentence that says why, and what to do."""

    @property
    def sentence(self) -> Sentence:
        """The sentence, with its values, so that a page can say it in any language."""
        from backends import Sentence  # not when a command only tells how it is used

        return Sentence.of(self.args[0]) if self.args else Sentence("")

    def __str__(self) -> str:
        return self.sentence
