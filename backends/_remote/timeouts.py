"""How long servers are waited for, in seconds."""

import os

CONNECT_TIMEOUT = 5.0
"""Seconds within which a connection must be made."""
SILENCE_TIMEOUT_ENV = "PHI_SILENCE_TIMEOUT"
"""The environment variable that changes `silence_timeout`."""
MAX_ANSWER_SECONDS = 4 * 3600.0
"""Seconds that an answer may take in all: 4,096 tokens at one in three seconds."""


def silence_timeout() -> float:
    """Seconds without new text after which an answer fails: 60, or `PHI_SILENCE_TIMEOUT`."""
    return _asked_silence() or 60.0


def first_token_timeout() -> float:
    """The same before the first text: 300, for a long prompt may take minutes to be read."""
    return _asked_silence() or 300.0


def _asked_silence() -> float | None:
    try:
        return max(1.0, float(os.environ.get(SILENCE_TIMEOUT_ENV, "")))
    except ValueError:
        return None
