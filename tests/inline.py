"""A host without a process: the worker's loop in the test's own, where a test can look inside."""

from collections.abc import AsyncGenerator, Sequence
from importlib import import_module

import pytest

from backends import Chunk, GenerationParams, Message, OutOfMemoryError, Progress
from backends._local import decode
from backends._local.host import LocalModel
from backends._local.seam import Loaded


class InlineHost:
    """Plans, loads and answers as a worker does; see `backends._local.host.Host`."""

    def __init__(self) -> None:
        self.models: dict[str, Loaded] = {}

    async def stream(
        self, model: LocalModel, conversation: Sequence[Message], params: GenerationParams
    ) -> AsyncGenerator[Chunk | Progress, None]:
        if model.key not in self.models:
            async for progress in self._load(model):
                yield progress
        if not conversation:
            return
        steps = decode.answer(self.models[model.key], conversation, params)
        try:
            for step in steps:
                if step is not None:
                    yield step
        finally:
            steps.close()

    async def load(self, model: LocalModel) -> None:
        async for _ in self.stream(model, (), GenerationParams()):
            pass

    async def warm(self) -> None:
        pass

    async def _load(self, model: LocalModel) -> AsyncGenerator[Progress, None]:
        plan = import_module(model.engine).plan(label=model.label, **model.options)
        if (free := plan.free()) < plan.need:
            raise OutOfMemoryError("too large", model.hint(free), need=plan.need, free=free)
        reports: list[float] = []
        self.models[model.key] = plan.load(reports.append)
        for fraction in reports:
            yield Progress("loading", fraction)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> InlineHost:
    """Local models of this test are loaded in its own process."""
    host = InlineHost()
    monkeypatch.setattr("backends._local.backend.HOST", host)
    return host
