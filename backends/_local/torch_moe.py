"""A mixture of experts in PyTorch: it answers like any other, and tells which experts worked."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from .._core.types import ExpertRouting, GenerationParams, Message
from .chat_text import ChatText
from .routing import RoutingReport, token_strings
from .seam import Prompt, Step
from .torch_model import TorchModel

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

Choice = tuple["torch.Tensor", "torch.Tensor"]
"""What one layer's router decided: the experts and their weights, each (tokens, 2)."""


class MoeModel(TorchModel):
    """A loaded Phi-3.5-MoE, or a model of its architecture (`phimoe`)."""

    fuses_on_load: ClassVar[bool] = True

    def __init__(self, label: str, model: Any, text: ChatText) -> None:
        super().__init__(label, model, text)
        self._routers = [layer.mlp.router for layer in model.model.layers]
        config = model.config
        self._report = RoutingReport(text.tokenizer, config.vocab_size, config.num_local_experts)
        freeze_rope(model.model.rotary_emb)

    def read(
        self, messages: Sequence[Message], params: GenerationParams, held: ExitStack
    ) -> Generator[Step, None, Prompt]:
        """See `seam.Loaded.read`. All of it is read each time: its routing is told, too."""
        prompt = yield from super().read(messages, params, held)
        return replace(prompt, ids=None)

    def forward(
        self,
        tokens: "Sequence[int] | torch.Tensor",
        cache: "DynamicCache",
        long: bool,
        *,
        in_prompt: bool = True,
    ) -> "tuple[torch.Tensor, tuple[ExpertRouting, ...]]":
        """One forward pass, listening to the routers: only during it, whoever is answered."""
        with _capture_routers(self._routers) as choices:
            logits, _ = super().forward(tokens, cache, long, in_prompt=in_prompt)
        ids = [int(token) for token in tokens]
        return logits, self._routing(ids, choices, in_prompt)

    def _routing(
        self, ids: Sequence[int], choices: Sequence[Choice], in_prompt: bool
    ) -> tuple[ExpertRouting, ...]:
        import torch

        # Stacked first: one wait for a GPU, not two for each layer. Layers may be on several.
        home = choices[-1][0].device
        layers = [torch.stack((experts.float(), weights)).to(home) for experts, weights in choices]
        chosen, weighed = torch.stack(layers, dim=2).tolist()
        return self._report.of(ids, chosen, weighed, in_prompt)


@contextmanager
def _capture_routers(routers: Sequence[Any]) -> Generator[list[Choice], None, None]:
    """What each of the routers decides meanwhile, in their order."""
    choices: list[Choice] = []

    def hear(router: Any, given: Any, made: "tuple[torch.Tensor, ...]") -> None:
        _, weights, experts = made
        choices.append((experts, weights.float()))

    hooks = [router.register_forward_hook(hear) for router in routers]
    try:
        yield choices
    finally:
        for hook in hooks:
            hook.remove()


def freeze_rope(rotary: Any) -> None:
    """Let `rotary` compute its frequencies once, not anew in every forward pass.

    The library also asks in every pass which of LongRoPE's two scales holds, and a GPU has to be
    waited for to know. No conversation here goes beyond the original window, so it is the short
    one: `CONTEXT_CAP`.
    """
    import torch

    frequencies, scale = rotary.rope_init_fn(rotary.config)
    if rotary.rope_type != "default":
        scale = rotary.config.rope_parameters["short_mscale"]

    def angles(
        x: "torch.Tensor", position_ids: "torch.Tensor"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        nonlocal frequencies
        frequencies = frequencies.to(x.device, torch.float)
        turned = position_ids[..., None].float() * frequencies
        both = torch.cat((turned, turned), dim=-1)
        return (both.cos() * scale).to(x.dtype), (both.sin() * scale).to(x.dtype)

    rotary.forward = angles


__all__ = ["MoeModel", "freeze_rope", "token_strings"]
