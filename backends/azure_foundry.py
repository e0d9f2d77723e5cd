"""Azure AI Foundry: Phi-4 in a resource of your own, by the name of its deployment."""

import re
from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from ._core.backend import Kind, Offer, Status, register
from ._core.catalog import MODELS, ModelSpec
from ._core.errors import BackendError, ModelNotFoundError, RetiredError
from ._remote.chat_completions import ChatCompletions
from ._remote.endpoint import normal
from ._remote.errors import Refusal

_ROUTE = "/openai/v1"
_OTHER_ROUTES = re.compile(r"/(openai|models|api/projects)(/|$)")
"""Where the routes begin that the portal shows for the same resource."""
_RETIRED_WORDS = re.compile(r"retired|deprecated|end of life", re.IGNORECASE)
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
    needs_key: ClassVar[bool] = True
    address_env: ClassVar[str | None] = "AZURE_FOUNDRY_ENDPOINT"
    address_example: ClassVar[str] = "https://NAME.openai.azure.com"
    default_path: ClassVar[str] = _ROUTE
    known: ClassVar[tuple[str, ...]] = (
        *("Phi-4-mini-instruct", "Phi-4", "Phi-4-multimodal-instruct"),
        *("Phi-4-mini-reasoning", "Phi-4-reasoning"),
    )
    """Those without a retirement date on 2026-07-07, by their usual deployment names."""
    names_models: ClassVar[bool] = True
    help: ClassVar[str] = (
        "Deploy Phi-4-mini-instruct at https://ai.azure.com, then give the resource's endpoint and "
        "key."
    )

    def in_full(self, url: str) -> str:
        """An endpoint of the resource, in any form that the portal shows, on its OpenAI v1 route.

        A gateway's own path before the route is kept.
        """
        text = url.strip()
        text = text if "://" in text else f"https://{text}"
        text = normal(re.sub(r"\?api-version=[\w.-]*$", "", text), self.default_path)
        parts = urlsplit(text)
        azure = (parts.hostname or "").endswith(".azure.com")
        found = _OTHER_ROUTES.search(parts.path)
        if not (azure or found):
            return text
        before = parts.path[: found.start()] if found and not azure else ""
        scheme = "https" if azure else parts.scheme
        return f"{scheme}://{parts.netloc}{before}{_ROUTE}"

    def credentials(self, key: str | None) -> dict[str, str]:
        """The headers that carry the key."""
        return {"api-key": key} if key else {}

    def answering(self, listed: Sequence[str] | None, url: str) -> Status:
        """It lists what could be deployed, not what is: that it answers is all there is to say."""
        return Status("ready", "It answers. Models go by their deployments' names.", "ready_azure")

    def offers(self, listed: Sequence[str] | None, url: str) -> list[Offer]:
        """The Phi-4 family by its usual deployment names, and other Phi models that are listed."""
        usual = {model.lower() for model in self.known}
        listed = [model for model in dict.fromkeys(listed or ()) if model.lower() not in usual]
        specs = {model: self.spec_of(model) for model in (*self.known, *listed)}
        return [
            Offer(model, spec, _state(spec))
            for model, spec in specs.items()
            if spec.key in MODELS  # the rest of the resource's catalog is not our business
        ]

    def refused(self, model: str, refusal: Refusal) -> BackendError:
        """What a refusal means here: a 404 is a missing deployment, or a retired one."""
        if not model or refusal.status not in (404, 410):
            return super().refused(model, refusal)
        spec = self.spec_of(model)
        said = _RETIRED_WORDS.search(f"{refusal.code} {refusal.words}")
        if refusal.status == 410 or said or spec.successor:
            why = f" It retired Phi-3 and Phi-3.5 on {_RETIRED_ON}." if spec.successor else ""
            return RetiredError(
                f"Azure AI Foundry has no deployment “{model}” any more.{why}",
                f"Deploy {_instead(spec)} at https://ai.azure.com and choose it here.",
                status=refusal.status,
                model=model,
            )
        return ModelNotFoundError(
            f"Azure AI Foundry has no deployment called “{model}”.",
            "Type the name of your deployment, as it stands under Deployments at "
            "https://ai.azure.com. A new one takes some minutes.",
            status=refusal.status,
            model=model,
        )


def _state(spec: ModelSpec) -> Status:
    if spec.successor:
        return Status(
            "retired",
            f"Retired there on {_RETIRED_ON}. Deploy {_instead(spec)} instead.",
            "retired_model",
            {"on": _RETIRED_ON, "successor": spec.successor},
        )
    return Status(
        "ready",
        "Works if you deployed it under this name; if not, type your deployment's name.",
        "untried",
    )


def _instead(spec: ModelSpec) -> str:
    """The model to deploy in its place: the last of its successors."""
    while spec.successor:
        spec = MODELS[spec.successor]
    return spec.label if spec.key.startswith("phi-4-mini") else f"{spec.label} or Phi-4-mini"
