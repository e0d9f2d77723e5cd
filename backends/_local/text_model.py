"""A model of text in memory, whatever engine computes it: what engines share behind the seam."""

from abc import ABC, abstractmethod

from .chat_text import ChatText
from .decode import TextReader
from .machine import free_memory, physical_cores
from .seam import Session
from .sessions import SessionCache

USUAL_TOKENS = 1536
"""Tokens of a conversation that memory is asked for when a model is loaded."""
_SMALL = 50e6
"""Bytes of weights up to which one core computes as fast as several that wait for each other."""


class TextModel(TextReader, ABC):
    """A model in memory that reads tokens and keeps conversations; see `seam.Loaded`."""

    exact = True
    warnings: tuple[str, ...] = ()

    def __init__(
        self,
        label: str,
        text: ChatText,
        device: str,
        threads: int,
        context: int,
        bytes_per_token: int,
    ) -> None:
        self.label, self.text, self.device = label, text, device
        self.threads, self.context = threads, context
        self._bytes_per_token = bytes_per_token
        """Of a conversation's keys and values."""
        # Kept conversations never take more than a quarter of what is free once it is loaded.
        budget = min(2 * context * bytes_per_token, free_memory() / 4)
        self.sessions = SessionCache(lambda room, _: self._open(room), bytes_per_token, budget)

    @abstractmethod
    def _open(self, room: int) -> Session:
        """A session with memory for so many tokens. Raises `OutOfMemoryError`."""

    def close(self) -> None:
        """Give its memory back."""
        self.sessions.close()


def threads_for(weights: float) -> int:
    """Threads that compute a model fastest whose weights take so many bytes."""
    return 1 if weights < _SMALL else physical_cores()
