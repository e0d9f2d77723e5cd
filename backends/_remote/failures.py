"""Errors of requests that got no answer, or not a whole one."""

from .._core.errors import (
    BackendConnectionError,
    BackendError,
    BackendTimeoutError,
    ServerError,
)
from .._core.sentence import Sentence
from .timeouts import CONNECT_TIMEOUT, SILENCE_TIMEOUT_ENV, first_token_timeout, silence_timeout

_CLOSED_ERRORS = frozenset({"ReadError", "WriteError", "RemoteProtocolError"})
"""Exceptions of HTTP clients on a kept connection that the server has just closed."""


def connection_failed(
    label: str, url: str, cause: BaseException | None = None, pictures: int = 0
) -> BackendError:
    """The error for a request without any response; `cause` is the HTTP client's exception.

    `pictures` is their number in the request: some servers close the connection on a request that
    is too large.
    """
    closed = type(cause).__name__ in _CLOSED_ERRORS
    if closed and pictures:
        return BackendConnectionError(
            Sentence(
                "{label} hung up while it was sent {n} pictures.",
                one="{label} hung up while it was sent a picture.",
                label=label,
                n=pictures,
            ),
            Sentence(
                "They may be too large for it: send fewer or smaller ones. Or it has stopped: is "
                "it still there, at {url}?",
                url=url,
            ),
            closed=True,
        )
    return BackendConnectionError(
        Sentence("{label} cannot be reached at {url}.", label=label, url=url),
        "Start it there, or check the address.",
        closed=closed,
    )


def disconnected(label: str) -> BackendError:
    """The error for a connection that ended before the answer did."""
    return BackendConnectionError(
        Sentence("{label} hung up in the middle of its answer.", label=label),
        "What came is kept. Press Regenerate.",
    )


def web_page(label: str) -> BackendError:
    """The error for a web page in the place of an answer."""
    return BackendConnectionError(
        Sentence("{label} sent a web page instead of an answer.", label=label),
        "Is the address right? Or does a page want you to sign in first?",
    )


def other_protocol(label: str) -> BackendError:
    """The error for an answer in the form of another protocol than the one that was asked for."""
    return BackendConnectionError(
        Sentence(
            "{label} answered in a form that is not the one of this kind of server.", label=label
        ),
        "Is the address right? An OpenAI-compatible one mostly ends in /v1; Ollama has a field of "
        "its own on the Models tab.",
        reason="other_protocol",
    )


def timed_out(
    label: str, connecting: bool, begun: bool, read_timeout: float | None = None
) -> BackendError:
    """The error for a timeout: while connecting, before the first token, or after it (`begun`).

    `read_timeout` is the limit in seconds, if it was not the usual one.
    """
    if connecting:
        return BackendTimeoutError(
            Sentence(
                "{label} could not be reached within {limit:seconds}.",
                label=label,
                limit=CONNECT_TIMEOUT,
            ),
            "Start it there, or check the address.",
        )
    limit = read_timeout or (silence_timeout() if begun else first_token_timeout())
    return BackendTimeoutError(
        Sentence("{label} fell silent for {limit:seconds}.", label=label, limit=limit)
        if begun
        else Sentence(
            "{label} did not begin to answer for {limit:seconds}.", label=label, limit=limit
        ),
        Sentence(
            "Try again. Whoever runs this page can allow more time ({variable}, in seconds).",
            variable=SILENCE_TIMEOUT_ENV,
        ),
    )


BROKEN_OFF = frozenset(
    {
        "abort",  # vLLM, when its engine was stopped
        "aborted",
        "cancelled",
        "canceled",
        "error",
        "failed",
        "engine_overloaded",  # Moonshot
        "insufficient_system_resource",  # DeepSeek
        "network_error",
        "server_error",
        "timeout",
    }
)
"""Finish reasons of answers that were not ended by the model or by a limit."""
_END_EVENTS = frozenset({"done", "end"})
"""Names of the last event where it is no `[DONE]`."""
_BESIDE_TEXT = frozenset({"usage", "timings"})
"""What an event without text may hold, and is no other protocol's for that."""


def broken_off(label: str, reason: str) -> BackendError:
    """The error for an answer that ended for one of the reasons in `BROKEN_OFF`."""
    return ServerError(
        Sentence("{label} broke off its answer: it says “{said}”.", label=label, said=reason),
        "What came is kept. Press Regenerate.",
    )
