"""GitHub Models: retired on 2026-07-30; its last protocol, for a gateway that still speaks it."""

from datetime import date
from typing import Any, ClassVar

from ._core.backend import Kind, Retirement, register
from ._core.catalog import MODELS
from ._core.errors import BackendError, RetiredError
from ._core.types import Connection
from ._remote.endpoint import Address
from ._remote.errors import Refusal
from .openai_compatible import ChatCompletions

_HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
_ROUTE = "/inference"
_INSTEAD = "Use Pocket, Transformers or Ollama on your own computer, or Phi-4 in Azure AI Foundry."
_SERVED = (
    *("phi-3.5-mini", "phi-3-mini-4k", "phi-3-mini-128k", "phi-3-small-8k", "phi-3-small-128k"),
    *("phi-3-medium-4k", "phi-3-medium-128k", "phi-3.5-moe", "phi-3.5-vision"),
    *("phi-4", "phi-4-mini", "phi-4-multimodal", "phi-4-mini-reasoning", "phi-4-reasoning"),
)
"""Keys of the Phi models that it had at one time."""


def _old(key: str) -> str:
    """A model's id at the first host: `Phi-3.5-mini-instruct`."""
    return (MODELS[key].hub_id or key).rpartition("/")[2]


def _new(key: str) -> str:
    """A model's id at the last host: `microsoft/phi-3.5-mini-instruct`."""
    return f"microsoft/{_old(key).lower()}"


@register
class GitHubModels(ChatCompletions):
    """GitHub Models, which is gone: nothing is asked unless an address is given.

    With an address (an organisation's gateway) the service's protocol is spoken in full. One that
    ends in `/inference`, or in `/orgs/NAME/inference`, is that of `https://models.github.ai`: ids
    as `microsoft/phi-3.5-mini-instruct`, the list at `/catalog/models` beside it. Any other is that
    of the first host, `https://models.inference.ai.azure.com`: ids without a publisher, as
    `Phi-3.5-mini-instruct`, the list at `/models` below it. `top_k` is ignored.

    Sources: github.blog changelog of 2025-05-15 and 2025-07-17; tidyverse/ellmer#1069 (2026-08-02).
    """

    id: ClassVar[str] = "github_models"
    label: ClassVar[str] = "GitHub Models"
    kind: ClassVar[Kind] = "hosted"
    key_env: ClassVar[str | None] = "GITHUB_TOKEN"
    needs_key: ClassVar[bool] = True
    address_env: ClassVar[str | None] = "GITHUB_MODELS_BASE_URL"
    address_example: ClassVar[str] = "https://gateway.example.com/inference"
    default_path: ClassVar[str] = ""
    known: ClassVar[tuple[str, ...]] = tuple(_new(key) for key in _SERVED)
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
        """The catalog, which is beside the newer address, not below it."""
        if not url.endswith(_ROUTE):
            return "/models"
        root, _, _ = url.removesuffix(_ROUTE).partition("/orgs/")
        return f"{root}/catalog/models"

    def ids_in(self, listed: Any, url: str) -> list[str] | None:
        """The ids in the catalog; the first host's own were long registry paths beside a name."""
        if isinstance(listed, list) and not url.endswith(_ROUTE):
            listed = [row.get("name") if isinstance(row, dict) else row for row in listed]
        return super().ids_in(listed, url)

    def id_at(self, url: str, model: str) -> str:
        """What a model is called at an address; one that GitHub never had keeps its name."""
        for key in _SERVED:
            if model.lower() in (_old(key).lower(), _new(key)):
                return _new(key) if url.endswith(_ROUTE) else _old(key)
        return model

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
