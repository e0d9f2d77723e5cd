"""Azure AI Foundry: Phi-4 in a resource of your own, by the name of its deployment."""

import re
from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from ._core.backend import Kind, Offer, Status, register
from ._core.catalog import MODELS, ModelSpec
from ._core.errors import BackendError, ModelNotFoundError, RetiredError
from ._core.sentence import Sentence
from ._remote.base_url import normalize_url
from ._remote.chat_completions import ChatCompletions
from ._remote.error_response import ErrorResponse
from ._remote.model_list import ListedModel

_ROUTE = "/openai/v1"
_OTHER_ROUTES = re.compile(r"/(openai|models|api/projects)(/|$)")
"""Other routes to the same resource, as the portal shows them."""
_RETIRED_PATTERN = re.compile(r"retired|deprecated|end of life", re.IGNORECASE)
_RETIRED_ON = "2025-08-30"
"""Phi-3 and Phi-3.5, serverless: `concepts-retired-models-content.md` in
MicrosoftDocs/azure-ai-docs, 2026-04-23, which also names the successors in the catalog."""


@register
class AzureFoundry(ChatCompletions):
    """The Phi-4 family in Azure AI Foundry, through its OpenAI v1 route.

    A model is called by the name of its *deployment*. `top_k` is ignored. The key has a variable
    of its own, not the `AZURE_OPENAI_API_KEY` of Microsoft's samples: a key belongs to one
    resource, and that one's may be another than `AZURE_FOUNDRY_ENDPOINT`. Entra sign-in is not
    used.

    Source: learn.microsoft.com, Microsoft Foundry, “Endpoints” (2026).
    """

    id: ClassVar[str] = "azure_foundry"
    label: ClassVar[str] = "Azure AI Foundry"
    kind: ClassVar[Kind] = "hosted"
    key_env: ClassVar[str | None] = "AZURE_FOUNDRY_API_KEY"
    requires_key: ClassVar[bool] = True
    address_env: ClassVar[str | None] = "AZURE_FOUNDRY_ENDPOINT"
    address_example: ClassVar[str] = "https://NAME.openai.azure.com"
    default_path: ClassVar[str] = _ROUTE
    fallback_models: ClassVar[tuple[str, ...]] = (
        *("Phi-4-mini-instruct", "Phi-4", "Phi-4-multimodal-instruct"),
        *("Phi-4-mini-reasoning", "Phi-4-reasoning"),
    )
    """Models without a retirement date on 2026-07-07, by their default deployment names."""
    accepts_custom_models: ClassVar[bool] = True
    compares_names: ClassVar[bool] = False  # a deployment is called as its owner likes
    help: ClassVar[str] = Sentence(
        "Deploy Phi-4-mini-instruct at {url}, then give the resource's endpoint and key.",
        url="https://ai.azure.com",
    )

    def normalize_base_url(self, url: str) -> str:
        """The OpenAI v1 route of a resource, for an endpoint in any form that the portal shows.

        A gateway's own path before the route is kept.
        """
        text = url.strip()
        text = text if "://" in text else f"https://{text}"
        text = re.sub(r"\?api-version=[\w.-]*$", "", text)
        full = normalize_url(text, self.default_path)
        parts, path = urlsplit(full), urlsplit(text).path
        azure = (parts.hostname or "").endswith(".azure.com")
        found = _OTHER_ROUTES.search(path)
        if not (azure or found):
            return full
        before = path[: found.start()] if found and not azure else ""
        scheme = "https" if azure else parts.scheme
        return f"{scheme}://{parts.netloc}{before}{_ROUTE}"

    def auth_headers(self, key: str | None) -> dict[str, str]:
        """See `ChatCompletions.auth_headers`."""
        return {"api-key": key} if key else {}

    def reachable_status(self, listed: Sequence[ListedModel] | None, url: str) -> Status:
        """See `ChatCompletions.reachable_status`; Azure lists what can be deployed, not what is."""
        return Status("ready", "It answers. Models go by their deployments' names.", "ready_azure")

    def offers(self, listed: Sequence[ListedModel] | None, url: str) -> list[Offer]:
        """The Phi-4 family by its default deployment names, and other Phi models in the list."""
        defaults = {model.lower() for model in self.fallback_models}
        ids = dict.fromkeys(one.id for one in listed or ())
        others = (model for model in ids if model.lower() not in defaults)
        specs = {model: self.spec_of(model) for model in (*self.fallback_models, *others)}
        return [
            Offer(model, spec, _model_status(spec))
            for model, spec in specs.items()
            if spec.key in MODELS  # the rest of the resource's catalog is not our business
        ]

    def map_error(self, model: str, response: ErrorResponse) -> BackendError:
        """See `ChatCompletions.map_error`; a 404 is a missing deployment, or a retired one."""
        if not model or response.status not in (404, 410):
            return super().map_error(model, response)
        spec = self.spec_of(model)
        retired = _RETIRED_PATTERN.search(f"{response.code} {response.server_message}")
        if response.status == 410 or retired or spec.successor:
            gone = Sentence("Azure AI Foundry has no deployment “{model}” any more.", model=model)
            why = Sentence("It retired Phi-3 and Phi-3.5 on {date}.", date=_RETIRED_ON)
            return RetiredError(
                Sentence.chain(gone, why if spec.successor else ""),
                Sentence(
                    "Deploy {model} at https://ai.azure.com and choose it here.",
                    model=_replacement(spec),
                ),
                status=response.status,
                model=model,
            )
        return ModelNotFoundError(
            Sentence("Azure AI Foundry has no deployment called “{model}”.", model=model),
            "Type the name of your deployment, as it stands under Deployments at "
            "https://ai.azure.com. A new one takes some minutes.",
            status=response.status,
            model=model,
        )


def _model_status(spec: ModelSpec) -> Status:
    if spec.successor:
        return Status(
            "retired",
            Sentence(
                "Retired there on {date}. Deploy {model} instead.",
                date=_RETIRED_ON,
                model=_replacement(spec),
            ),
            "retired_model",
            {"on": _RETIRED_ON, "successor": spec.successor},
        )
    return Status(
        "ready",
        "Works if you deployed it under this name; if not, type your deployment's name.",
        "untried",
    )


def _replacement(spec: ModelSpec) -> str:
    """The model to deploy instead: the last of its successors."""
    while spec.successor:
        spec = MODELS[spec.successor]
    if spec.key.startswith("phi-4-mini"):
        return spec.label
    return Sentence("{a} or {b}", a=spec.label, b="Phi-4-mini")
