"""GitHub Models: retired on 2026-07-30; its last protocol, for a gateway that still speaks it."""

from datetime import date
from typing import ClassVar

from ._core.backend import Kind, Retirement, register
from ._core.catalog import MODELS
from ._core.errors import BackendError, RetiredError
from ._core.types import Connection
from ._remote.chat_completions import ChatCompletions
from ._remote.endpoint import Address
from ._remote.errors import Refusal

_HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
_ROUTE = "/inference"
_INSTEAD = "Use Pocket, Transformers or Ollama on your own computer, or Phi-4 in Azure AI Foundry."
_SERVED = (
    *("phi-3.5-mini", "phi-3-mini-4k", "phi-3-mini-128k", "phi-3-small-8k", "phi-3-small-128k"),
    *("phi-3-medium-4k", "phi-3-medium-128k", "phi-3.5-moe", "phi-3.5-vision"),
    *("phi-4", "phi-4-mini", "phi-4-multimodal", "phi-4-mini-reasoning", "phi-4-reasoning"),
)
"""Keys of the Phi models that it had at one time."""


@register
class GitHubModels(ChatCompletions):
    """GitHub Models, which is gone: nothing is asked unless an address is given.

    With an address (an organisation's gateway) the protocol of `https://models.github.ai` is
    spoken: requests go below `/inference` or `/orgs/NAME/inference`, ids are as
    `microsoft/phi-3.5-mini-instruct`, the list is at `/catalog/models`. `top_k` is ignored.

    Sources: github.blog changelog of 2025-05-15 and 2025-07-17; tidyverse/ellmer#1069 (2026-08-02).
    """

    id: ClassVar[str] = "github_models"
    label: ClassVar[str] = "GitHub Models"
    kind: ClassVar[Kind] = "hosted"
    key_env: ClassVar[str | None] = "GITHUB_TOKEN"
    needs_key: ClassVar[bool] = True
    address_env: ClassVar[str | None] = "GITHUB_MODELS_BASE_URL"
    address_example: ClassVar[str] = "https://gateway.example.com/inference"
    default_path: ClassVar[str] = _ROUTE
    known: ClassVar[tuple[str, ...]] = tuple(f"{MODELS[key].hub_id}".lower() for key in _SERVED)
    retired: ClassVar[Retirement | None] = Retirement(
        on=date(2026, 7, 30),
        successor="Pocket, Transformers or Ollama here; Azure AI Foundry for hosted Phi-4",
        source="https://github.com/tidyverse/ellmer/issues/1069",
    )
    names_models: ClassVar[bool] = True
    help: ClassVar[str] = (
        "Gone since 2026-07-30. For hosted Phi-4, see https://ai.azure.com. A gateway that still "
        "speaks its protocol goes into GITHUB_MODELS_BASE_URL."
    )

    def reach(self, connection: Connection | None) -> Address:
        """See `Served.reach`. Without an address of somebody else's, `RetiredError`."""
        if not (connection and connection.base_url) and not self.configured():
            raise _gone()
        return super().reach(connection)

    def credentials(self, key: str | None) -> dict[str, str]:
        """The headers of GitHub's API, with the key."""
        return _HEADERS | super().credentials(key)

    def list_url(self, url: str) -> str:
        """The catalog, which is beside the address, not below it."""
        root, _, _ = url.removesuffix(_ROUTE).partition("/orgs/")
        return f"{root}/catalog/models"

    def refused(self, model: str, refusal: Refusal) -> BackendError:
        """What a refusal means here. "Temporarily unavailable" was said for ever: it is gone."""
        if refusal.status == 410 or (refusal.status == 403 and "sunset" in refusal.headers):
            return _gone(status=refusal.status)
        if refusal.status == 429 and refusal.retry_after is None:
            wait = refusal.headers.get("x-ratelimit-timeremaining", "")
            headers = {**refusal.headers, "retry-after": wait}
            refusal = Refusal(refusal.status, refusal.body, headers)
        error = super().refused(model, refusal)
        if kind := refusal.headers.get("x-ratelimit-type"):
            error.values["limit"] = kind
            error.message += f" {_limit(kind)}"
        return error


def _gone(**values: object) -> RetiredError:
    return RetiredError(
        "GitHub Models was switched off on 2026-07-30.", _INSTEAD, reason="retired", **values
    )


def _limit(kind: str) -> str:
    """What `UserByModelByDay` limits, in words."""
    span = kind.rpartition("By")[2].lower()
    return f"This is its limit for one {span}." if span in ("minute", "day") else ""
