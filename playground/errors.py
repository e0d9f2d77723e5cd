"""Errors that are made for a reader."""

from backends import Sentence


class ReaderError(Exception):
    """Its text is for the reader: one sentence that says why, and what to do."""

    @property
    def sentence(self) -> Sentence:
        """The sentence, with its values, so that a page can say it in any language."""
        return Sentence.of(self.args[0]) if self.args else Sentence("")

    def __str__(self) -> str:
        return self.sentence
