"""Hugging Face Inference Providers: one address for many services, on the visitor's own credit."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from ._core.backend import Health, Kind, Offer, Status, register
from ._core.catalog import MODELS
from ._core.environment import env_flag
from ._core.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    MissingKeyError,
    ModelNotFoundError,
)
from ._core.sentence import Sentence
from ._core.types import Connection
from ._remote.chat_completions import ChatCompletions
from ._remote.endpoint import Endpoint
from ._remote.error_response import ErrorResponse
from ._remote.errors import map_error
from ._remote.model_list import ListedModel, Provider
from ._remote.rules import Rule, words

SHARE_ENV = "PHI_SHARE_HF_TOKEN"
"""The variable with which a public page's owner lets visitors use `HF_TOKEN`, as budgeted. The
token of itself is no consent: most pages have it for downloads."""
_NAMED = 2
"""Providers of a model that are named; further ones are counted."""

_RULES = (
    Rule(
        AuthenticationError,
        "Hugging Face refused the token.",
        "It may have ended: sign in again, or type another one on the Models tab.",
        status={401},
    ),
    Rule(
        AuthenticationError,
        "This token may not call Inference Providers.",  # the message names the account
        "Make one with “Make calls to Inference Providers” at "
        "https://huggingface.co/settings/tokens and type it on the Models tab.",
        status={403},
        text=words("call inference providers"),
        reason="no_scope",
    ),
    Rule(
        BadRequestError,
        "The Inference Providers credit of this token is used up.",
        "It starts anew each month, and more can be bought at "
        "https://huggingface.co/settings/billing. Or choose a model that runs elsewhere.",
        status={402},
        reason="no_credit",
    ),
    Rule(
        ModelNotFoundError,
        "Nobody serves “{model}” for Hugging Face, or the account of this token has switched off "
        "those who do.",
        "Choose another model, or look at https://huggingface.co/settings/inference-providers.",
        status={400, 404, 422},
        text=words(
            "model_not_supported", "not supported by (any )?provider", "provider .{0,80}not avail"
        ),
    ),
)
"""Documented or reported: hub-docs, `inference-providers/hub-api.md` and `pricing.md` (2026-08);
huggingface/serge#56 (403), page-assist#727 (400), hub-docs#2240 (402)."""


@register
class HuggingFace(ChatCompletions):
    """Models that other services run, through Hugging Face's router.

    Which there are and who serves them is read from the router's list, which needs no token. A
    model is called by its repository; `:fastest`, `:cheapest` or `:PROVIDER` behind it chooses who
    answers. `top_k` is ignored.

    Source: huggingface/hub-docs, `docs/inference-providers/hub-api.md` (2026-08).
    """

    id: ClassVar[str] = "huggingface"
    label: ClassVar[str] = "Hugging Face"
    kind: ClassVar[Kind] = "hosted"
    key_env: ClassVar[str | None] = "HF_TOKEN"
    requires_key: ClassVar[bool] = True
    default_address: ClassVar[str | None] = "https://router.huggingface.co/v1"
    fallback_models: ClassVar[tuple[str, ...]] = tuple(
        f"{spec.hub_id}" for spec in MODELS.values() if f"{spec.hub_id}".startswith("microsoft/")
    )
    accepts_custom_models: ClassVar[bool] = True
    compares_names: ClassVar[bool] = False  # each provider has names of its own
    help: ClassVar[str] = Sentence(
        "Make a token with “Make calls to Inference Providers” at {url}. What it costs is paid "
        "from your credit there.",
        url="https://huggingface.co/settings/tokens",
    )

    def shares_env_key(self) -> bool:
        """See `RemoteBackend.shares_env_key`; only if its owner says so."""
        return env_flag(SHARE_ENV)

    def missing_key(self, public: bool) -> MissingKeyError:
        """See `RemoteBackend.missing_key`; a public page may have a sign-in instead."""
        if not (public and os.environ.get("OAUTH_CLIENT_ID")):
            return super().missing_key(public)
        return MissingKeyError(
            Sentence("{label} needs a sign-in.", label=self.label),
            "Sign in on the Models tab, or type a token of yours there.",
            variable=self.key_env,
        )

    def list_endpoint(self, connection: Connection | None) -> Endpoint:
        """See `ChatCompletions.list_endpoint`; a token is not needed."""
        try:
            return self.resolve_endpoint(connection)
        except MissingKeyError:
            return Endpoint(f"{self.default_address}")

    async def check(self, connection: Connection | None = None) -> Health:
        """See `Backend.check`; without a token it still tells which models are served."""
        health = await super().check(connection)
        if health.status.code != "missing_key":
            return health
        try:
            offers = self.offers(await self.list_models(connection), f"{self.default_address}")
        except BackendError:
            return health
        locked = (
            replace(offer, status=health.status) if offer.status.ready else offer
            for offer in offers
        )
        return Health(
            health.status, sorted(locked, key=lambda offer: offer.status.code == "unserved")
        )

    def reachable_status(self, listed: Sequence[ListedModel] | None, url: str) -> Status:
        """See `ChatCompletions.reachable_status`; says how many of its models are Phi."""
        if listed is None:
            return super().reachable_status(listed, url)
        phi = sum(_is_served(one) and self.spec_of(one.id).key in MODELS for one in listed)
        return Status(
            "ready",
            Sentence.chain(
                Sentence("It lists {n} models.", one="It lists {n} model.", n=len(listed)),
                Sentence("Phi models among them: {phi}.", phi=phi)
                if phi
                else "None is a Phi model.",
                "Their answers are paid from your credit.",
            ),
            "ready_router",
            {"models": len(listed), "phi": phi},
        )

    def offers(self, listed: Sequence[ListedModel] | None, url: str) -> list[Offer]:
        """The models that the router lists, and the Phi models that nobody serves."""
        found = super().offers(listed, url)
        keys = {offer.spec.key for offer in found}
        unserved = Status("unreachable", "Nobody serves it for Hugging Face now.", "unserved")
        missing = (self.spec_of(one) for one in self.fallback_models) if listed is not None else ()
        return [
            *found,
            *(Offer(f"{spec.hub_id}", spec, unserved) for spec in missing if spec.key not in keys),
        ]

    def listed_offer(self, model: ListedModel, url: str) -> Offer:
        """See `ChatCompletions.listed_offer`; adds who serves it, and from which price."""
        offer = super().listed_offer(model, url)
        if model.providers is None:
            return offer
        if not _is_served(model):
            status = Status("unreachable", "All who serve it fail at the moment.", "unserved")
            return replace(offer, status=status)
        live = [one for one in model.providers if one.live]
        sentence = Sentence.chain(
            _served_by(live),
            _price(live),
            Sentence("Context: {n} tokens.", n=model.context) if model.context else "",
        )
        return replace(offer, status=Status("ready", sentence, "ready_listed"))

    def map_error(self, model: str, response: ErrorResponse) -> BackendError:
        """See `ChatCompletions.map_error`; names the provider, where the router tells it."""
        provider = response.headers.get("x-inference-provider", "")
        named = provider.isascii() and provider.replace("-", "").isalnum() and len(provider) < 40
        label: str = self.label
        if named:
            label = Sentence("Hugging Face’s provider {provider}", provider=provider)
        return map_error(label, model, response, _RULES)


def _is_served(model: ListedModel) -> bool:
    """Whether anybody serves a model now, as far as the list tells."""
    return model.providers is None or any(one.live for one in model.providers)


def _served_by(providers: Sequence[Provider]) -> str:
    names = ", ".join(one.name for one in providers[:_NAMED])
    if len(providers) <= _NAMED:
        return Sentence("Served by {names}.", names=names)
    more = len(providers) - _NAMED
    return Sentence("Served by {names} and {more} more.", names=names, more=more)


def _price(providers: Sequence[Provider]) -> str:
    """The lowest price, as a sentence; empty if nobody tells one."""
    prices = [one.price for one in providers if one.price]
    if not prices:
        return ""
    read, written = min(prices, key=sum)
    return Sentence(
        "From ${read} a million tokens read and ${written} written.", read=read, written=written
    )
