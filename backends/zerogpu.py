"""The GPU of a ZeroGPU Space on Hugging Face: the real Phi models, for whoever looks in."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from ._core.backend import (
    REGISTRY,
    Backend,
    Health,
    Kind,
    Offer,
    Status,
    check_pictures,
    count_pictures,
    register,
)
from ._core.catalog import MODELS
from ._core.errors import BackendError, ModelNotFoundError, RateLimitError
from ._core.sentence import Sentence
from ._core.types import Chunk, Connection, GenerationParams, Message, Progress
from ._local import vision, weights, zerogpu
from ._local.zerogpu_worker import Checkpoint
from ._remote.gpu_quota import Quota, Quotas

logger = logging.getLogger(__name__)

AT_START = ("phi-3-mini-128k", "phi-3.5-mini")
"""Models that are on the GPU from the start, by key: 15 GB, which every call moves there."""
WHEN_ASKED = ("phi-3.5-vision",)
"""Those that are loaded when somebody asks them first."""
FREE_MINUTES = 2
"""Minutes a day of a visitor who has not signed in (hub-docs, August 2026)."""


class ZeroGPU(Backend):
    """The Phi models in bf16 on a GPU that Hugging Face lends for the seconds of an answer.

    All sides of a comparison share one loan. What it takes of a visitor's daily quota is theirs: by
    the account that they signed in to Hugging Face with, else by their address. The connection's
    key is the token of that account; it is shown to Hugging Face alone, to read the quota.
    """

    id: ClassVar[str] = "zerogpu"
    label: ClassVar[str] = "ZeroGPU"
    kind: ClassVar[Kind] = "local"
    requires: ClassVar[tuple[str, ...]] = ("spaces", "torch", "transformers")
    install: ClassVar[str] = "pip install spaces torch transformers"
    continues: ClassVar[bool] = True
    takes_turns: ClassVar[bool] = True
    max_concurrent: ClassVar[int] = 64
    """More than anywhere else: the line is Hugging Face's, and everybody's time is their own."""

    def __init__(self) -> None:
        self._calls: zerogpu.Calls | None = None
        self._quotas = Quotas()
        self._loads: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Load the models and make the function known to `spaces`; see `Backend.start`.

        They have to be on the GPU, as `spaces` pretends, before the page is launched: that is when
        it puts their weights aside for the calls, and empties the Hugging Face cache of them.
        """
        function = zerogpu.decorated()
        found = {
            spec.hub_id: Checkpoint(spec.label, folder)
            for spec in map(MODELS.__getitem__, (*AT_START, *WHEN_ASKED))
            if spec.hub_id and (folder := weights.find(spec.hub_id))
        }
        zerogpu.MODELS.checkpoints = found
        for model in found:
            if self.spec_of(model).key in AT_START:
                try:
                    zerogpu.MODELS.load(model, zerogpu.MODELS.device())
                except BackendError:
                    logger.exception("%s could not be loaded", model)
        self._calls = zerogpu.Calls(function)

    async def check(self, connection: Connection | None = None) -> Health:
        """Ready if a model is here and the visitor has time left; see `Backend.check`."""
        if missing := self.without_packages():
            status = missing
        elif self._calls is None or not zerogpu.MODELS.checkpoints:
            status = Status(
                "not installed",
                "The models are missing on this Space: see `preload_from_hub` in its README.md.",
                "no_weights",
            )
        else:
            status = quota_status(await self._quota(connection))
        offers = [
            Offer(spec.hub_id, spec, status if spec.hub_id in self._here() else _missing(status))
            for spec in map(MODELS.__getitem__, (*AT_START, *WHEN_ASKED))
            if spec.hub_id
        ]
        return Health(status, sorted(offers, key=lambda offer: not offer.status.ready))

    async def prepare(self, model: str) -> None:
        """Load a model that is not on the GPU from the start; see `Backend.prepare`."""
        if model in self._here():
            await self._load(model)

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> AsyncGenerator[Chunk | Progress, None]:
        """Answer the conversation on the GPU; see `Backend.stream`.

        Requests of one `Batch` share a call: their steps alternate, or one follows the other.
        """
        self.check_packages()
        if self._calls is None or model not in self._here():
            raise ModelNotFoundError(
                Sentence("{label} has no model called {model}.", label=self.label, model=model),
                "Choose another one.",
                model=model,
            )
        check_pictures(self.spec_of(model), messages)
        params = replace(params, num_crops=self.crops(model, params, count_pictures(messages)))
        quota = await self._quota(connection)
        if quota and not quota.left:
            status = quota_status(quota)
            raise RateLimitError(status.message, reason="gpu_quota")
        if model not in zerogpu.MODELS.loaded:
            yield Progress("loading")
            await self._load(model)
        left = quota.left if quota else None
        async with aclosing(self._calls.stream(self.id, model, messages, params, left)) as steps:
            try:
                async for step in steps:
                    yield step
            finally:
                if connection and connection.api_key:
                    self._quotas.forget(connection.api_key)

    async def count_tokens(self, model: str, text: str) -> int | None:
        """Tokens of `text`, by the tokenizer of a model that is in memory."""
        loaded = zerogpu.MODELS.loaded.get(model)
        return len(await asyncio.to_thread(loaded.text.encode_text, text)) if loaded else None

    def crops(self, model: str, params: GenerationParams, pictures: int) -> int | None:
        """See `Backend.crops`."""
        return vision.crops_by(self.spec_of(model), params, pictures)

    def snippet(
        self,
        model: str,
        messages: Sequence[Message],
        params: GenerationParams,
        connection: Connection | None = None,
    ) -> str | None:
        """The same request with Transformers, on a GPU of one's own; see `Backend.snippet`."""
        return REGISTRY["transformers"].snippet(model, messages, params)

    def _here(self) -> frozenset[str]:
        return frozenset(zerogpu.MODELS.checkpoints)

    async def _quota(self, connection: Connection | None) -> Quota | None:
        token = connection.api_key if connection else None
        return await self._quotas.of(token) if token else None

    async def _load(self, model: str) -> None:
        """Read a model into the page's memory, once, so that no GPU time passes meanwhile."""
        if model in zerogpu.MODELS.loaded:
            return
        task = self._loads.get(model)
        if task is None or task.done():
            task = self._loads[model] = asyncio.create_task(zerogpu.load(model))
        await asyncio.shield(task)


def quota_status(quota: Quota | None) -> Status:
    """How it is for a visitor, and what they have left."""
    if quota is None:
        sentence = Sentence(
            "On this Space's GPU: {minutes} minutes a day for everybody, more once you sign in "
            "with Hugging Face.",
            minutes=FREE_MINUTES,
        )
        return Status("ready", sentence, "gpu_free", {"minutes": FREE_MINUTES})
    values: dict[str, object] = {"left": quota.left, "base": quota.base}
    if quota.left:
        sentence = Sentence(
            "On this Space's GPU. You have {left} of {base} left today.",
            left=_duration(quota.left),
            base=_duration(quota.base),
        )
        return Status("ready", sentence, "gpu_left", values)
    back = ""
    if quota.resets_at:
        back = Sentence("It is back at {time}.", time=_time(quota.resets_at))
    used_up = Sentence.chain("Your GPU time of today is used up.", back, zerogpu.QUOTA_HINT)
    return Status("unreachable", used_up, "gpu_quota", values)


def _missing(status: Status) -> Status:
    if not status.ready:
        return status
    return Status("not installed", "Its files are not on this Space.", "no_weights")


def _duration(seconds: float) -> str:
    """A number of seconds for people: `3 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _time(at: datetime) -> str:
    return f"{at:%H:%M} UTC"


if zerogpu.on_zerogpu():  # elsewhere there is no such place, and no list should name it
    register(ZeroGPU)
