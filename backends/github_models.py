"""GitHub Models: retired on 2026-07-30; its last protocol, for a gateway that still speaks it."""

from datetime import date
from typing import ClassVar

from ._core.backend import Kind, Retirement, register
from ._core.catalog import MODELS
from ._core.errors import BackendError, RetiredError
from ._core.sentence import Sentence
from ._core.types import Connection
from ._remote.chat_completions import ChatCompletions
from ._remote.endpoint import Endpoint
from ._remote.error_response import ErrorResponse

_HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
_ROUTE = "/inference"
_ALTERNATIVES = (
    "Use Pocket, Transformers or Ollama on your own computer, or Phi-4 in Azure AI Foundry."
)
_CATALOG_KEYS = (
    *("phi-3.5-mini", "phi-3-mini-4k", "phi-3-mini-128k", "phi-3-small-8k", "phi-3-small-128k"),
    *("phi-3-medium-4k", "phi-3-medium-128k", "phi-3.5-moe", "phi-3.5-vision"),
    *("phi-4", "phi-4-mini", "phi-4-multimodal", "phi-4-mini-reasoning", "phi-4-reasoning"),
)
"""Catalog keys of the Phi models that it once served."""


@register
class GitHubModels(ChatCompletions):
    """GitHub Models, which was retired: no request is sent unless an address is given.

    With an address (an organisation's gateway) it speaks the protocol of
    `https://models.github.ai`: requests go below `/inference` or `/orgs/NAME/inference`, ids are as
    `microsoft/phi-3.5-mini-instruct`, the list is at `/catalog/models`. `top_k` is ignored.

    Sources: github.blog changelog of 2025-05-15 and 2025-07-17; tidyverse/ellmer#1069 (2026-08-02).
    """

    id: ClassVar[str] = "github_models"
    label: ClassVar[str] = "GitHub Models"
    kind: ClassVar[Kind] = "hosted"
    key_env: ClassVar[str | None] = "GITHUB_TOKEN"
    requires_key: ClassVar[bool] = True
    address_env: ClassVar[str | None] = "GITHUB_MODELS_BASE_URL"
    address_example: ClassVar[str] = "https://gateway.example.com/inference"
    default_path: ClassVar[str] = _ROUTE
    fallback_models: ClassVar[tuple[str, ...]] = tuple(
        f"{MODELS[key].hub_id}".lower() for key in _CATALOG_KEYS
    )
    retired: ClassVar[Retirement | None] = Retirement(
        on=date(2026, 7, 30),
        successor="Pocket, Transformers or Ollama here; Azure AI Foundry for hosted Phi-4",
        source="https://github.com/tidyverse/ellmer/issues/1069",
    )
    accepts_custom_models: ClassVar[bool] = True
    help: ClassVar[str] = Sentence(
        "Gone since {date}. For hosted Phi-4, see {url}. A gateway that still speaks its protocol "
        "can be asked at its address.",
        date="2026-07-30",
        url="https://ai.azure.com",
    )

    def resolve_endpoint(self, connection: Connection | None) -> Endpoint:
        """See `RemoteBackend.resolve_endpoint`; raises `RetiredError` without an address."""
        if not (connection and connection.base_url) and not self.configured_address():
            raise _retired_error()
        return super().resolve_endpoint(connection)

    def auth_headers(self, key: str | None) -> dict[str, str]:
        """See `ChatCompletions.auth_headers`; adds those of GitHub's API."""
        return _HEADERS | super().auth_headers(key)

    def publishes_names(self, url: str) -> bool:
        """See `ChatCompletions.publishes_names`; GitHub's catalog is one."""
        return True

    def models_url(self, url: str) -> str:
        """See `ChatCompletions.models_url`; the catalog is beside the base URL, not below it."""
        root, _, _ = url.removesuffix(_ROUTE).partition("/orgs/")
        return f"{root}/catalog/models"

    def map_error(self, model: str, response: ErrorResponse) -> BackendError:
        """See `ChatCompletions.map_error`; "temporarily unavailable" meant retired."""
        if response.status == 410 or (response.status == 403 and "sunset" in response.headers):
            return _retired_error(status=response.status)
        if response.status == 429 and response.retry_after is None:
            wait = response.headers.get("x-ratelimit-timeremaining", "")
            headers = {**response.headers, "retry-after": wait}
            response = ErrorResponse(response.status, response.body, headers)
        error = super().map_error(model, response)
        if kind := response.headers.get("x-ratelimit-type"):
            error.values["limit"] = kind
            error.message = Sentence.chain(error.message, _limit_hint(kind))
        return error


def _retired_error(**values: object) -> RetiredError:
    return RetiredError(
        "GitHub Models was switched off on 2026-07-30.", _ALTERNATIVES, reason="retired", **values
    )


def _limit_hint(kind: str) -> str:
    """A sentence about a rate limit such as `UserByModelByDay`."""
    span = kind.rpartition("By")[2].lower()
    limits = {
        "minute": "This is its limit for one minute.",
        "day": "This is its limit for one day.",
    }
    return limits.get(span, "")
