"""Failures of the matrix that are a sentence, which a page can say in any language."""

from backends import Sentence


class MatrixError(Exception):
    """One sentence that says what went wrong, and what to do."""

    @property
    def sentence(self) -> Sentence:
        """The sentence, with its values."""
        return Sentence.of(self.args[0]) if self.args else Sentence("")

    def __str__(self) -> str:
        return self.sentence
