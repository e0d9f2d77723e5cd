"""What can go wrong with a backend, as a tree.

BackendError
├── MissingKeyError            no key was typed and its environment variable is empty
├── MissingDependencyError     a package or a model's files are not installed
├── RetiredError               the service or the model is gone for good
├── AuthenticationError        the service refused the key
├── ModelNotFoundError         the backend does not have this model
├── OutOfMemoryError           the model does not fit into the memory that is free
├── OutOfDiskError             its files do not fit onto the disk
├── BadRequestError            the service refused the request
│   ├── ContextLengthError     prompt and answer do not fit into the context
│   └── ContentFilterError     a filter stopped the prompt or the answer
├── RateLimitError             too many requests; try again after `retry_after` seconds
├── BackendConnectionError     the server cannot be reached, or hung up
├── BackendTimeoutError        the server did not answer in time
└── ServerError                the server failed

Everything else that a backend raises is a bug of ours, and surfaces as one.
"""

from typing import ClassVar

from .sentence import Sentence


class BackendError(Exception):
    """A failure that a visitor can understand: what happened, and what to do about it."""

    code: ClassVar[str] = "backend_error"
    """Names the kind of failure, for programs; its sentences say it in every language."""

    def __init__(self, message: str, hint: str = "", **values: object) -> None:
        """`message` says what happened, `hint` what to do; `values` are the facts both name.

        Where one of them names a fact, it is a `Sentence`: then a page can say it in any language.
        """
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.values = values

    def __str__(self) -> Sentence:
        return Sentence.chain(self.message, self.hint)


class MissingKeyError(BackendError):
    """No key was typed and its environment variable is empty."""

    code = "missing_key"


class MissingDependencyError(BackendError):
    """A package, or a model's files, are not on this machine."""

    code = "missing_dependency"


class RetiredError(BackendError):
    """The service or the model was switched off for good."""

    code = "retired"


class AuthenticationError(BackendError):
    """The service refused the key."""

    code = "authentication"


class ModelNotFoundError(BackendError):
    """The backend does not have this model."""

    code = "model_not_found"


class OutOfMemoryError(BackendError):
    """The model does not fit into the memory that is free."""

    code = "out_of_memory"


class OutOfDiskError(BackendError):
    """The model's files do not fit onto the disk."""

    code = "out_of_disk"


class BadRequestError(BackendError):
    """The request was refused as it stands."""

    code = "bad_request"


class ContextLengthError(BadRequestError):
    """Prompt and answer do not fit into the context."""

    code = "context_length"


class ContentFilterError(BadRequestError):
    """A content filter stopped the prompt or the answer."""

    code = "content_filter"


class RateLimitError(BackendError):
    """Too many requests."""

    code = "rate_limit"

    def __init__(
        self, message: str, hint: str = "", *, retry_after: float | None = None, **values: object
    ) -> None:
        """`retry_after` is in seconds, `None` where the service does not say."""
        super().__init__(message, hint, **values)
        self.retry_after = retry_after


class BackendConnectionError(BackendError):
    """The server cannot be reached, or hung up."""

    code = "connection"


def unusable_proxy(hostname: str) -> BackendConnectionError:
    """The error for a proxy, named by the environment, through which no client can be made."""
    return BackendConnectionError(
        "The proxy that this machine's environment names cannot be used: only http:// and "
        "https:// are understood here.",
        Sentence(
            "Change HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or name {hostname} in NO_PROXY, "
            "and start the page again.",
            hostname=hostname,
        ),
        reason="proxy",
    )


class BackendTimeoutError(BackendError):
    """The server did not answer in time."""

    code = "timeout"


class ServerError(BackendError):
    """The server failed."""

    code = "server"
