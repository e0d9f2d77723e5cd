"""A mixture of experts in ONNX Runtime, which tells which experts worked on each token."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._core.types import GenerationParams, Message
from .onnx_graph import Arrays, GraphModel, graph_plan
from .routing import RoutingReport
from .seam import Output, Plan, Prompt, Step


class OnnxMoe(GraphModel):
    """A loaded checkpoint of Phi-3.5-MoE's architecture (`phimoe`), with its graph."""

    def __init__(self, label: str, folder: Path, config: dict[str, Any]) -> None:
        super().__init__(label, folder, config)
        self._report = RoutingReport(
            self.text.tokenizer, config["vocab_size"], config["num_local_experts"]
        )

    def read(
        self, messages: Sequence[Message], params: GenerationParams, held: ExitStack
    ) -> Generator[Step, None, Prompt]:
        """See `seam.Loaded.read`. All of it is read each time: its routing is told, too."""
        prompt = yield from super().read(messages, params, held)
        return replace(prompt, ids=None)

    def output(self, tokens: Sequence[int], made: Arrays, in_prompt: bool) -> Output:
        """Logits after the last token, and the routing of each."""
        # From (layers, tokens, 2) to one row a token.
        experts, weights = (made[name].swapaxes(0, 1).tolist() for name in ("experts", "weights"))
        return Output(made["logits"], self._report.of(tokens, experts, weights, in_prompt))


def plan(label: str, folder: str) -> Plan:
    """How to load a folder. Raises `MissingDependencyError` if it is damaged or incomplete."""
    return graph_plan(OnnxMoe, label, Path(folder))
