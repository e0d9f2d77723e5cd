"""The cost of an answer in one line: a model's parameters, memory, speed and arithmetic."""

from html import escape

from backends import ModelSpec
from playground.conversation import AnswerRecord

from ...compare.status import format_parameters

_FORMULA = (
    "2 × the parameters at work: a multiplication and an addition for each, for each token. "
    "Attention to the earlier text comes on top (Kaplan et al. 2020, arXiv:2001.08361)."
)
_MEMORY = "All parameters must be in memory, two bytes each in bf16, whether they work or not."


def flops_per_token(spec: ModelSpec) -> float:
    """Return floating-point operations per token: about two per active parameter.

    Kaplan et al. 2020, arXiv:2001.08361, section 2.1; without attention over the earlier text.
    """
    return 2 * spec.active_parameters


def cost_html(spec: ModelSpec | None, record: AnswerRecord | None) -> str:
    """Return the line as HTML; empty for a model whose size is unknown."""
    if spec is None or not spec.parameters:
        return ""
    active = format_parameters(spec.active_parameters)
    at_work = f"{active if spec.is_mixture else 'all'} at work on each token"
    pieces = [
        (f"{format_parameters(spec.parameters)} parameters, {at_work}", ""),
        (f"{_format_bytes(spec.weights_size)} in bf16", _MEMORY),
        (
            f"{_format_flops(flops_per_token(spec))} a token = 2 × {active}",
            _FORMULA,
        ),
    ]
    if record and record.model == spec.label and record.tokens_per_second:
        pieces.append((f"{record.tokens_per_second:.1f} tokens/s in the last answer", ""))
    spans = (
        f"<span{f' title={chr(34)}{escape(why)}{chr(34)}' if why else ''}>{escape(text)}</span>"
        for text, why in pieces
    )
    return f'<p class="model-cost">{"".join(spans)}</p>'


def _format_flops(count: float) -> str:
    """Format a number of operations: `13.2 GFLOP`, `3.1 MFLOP`."""
    unit, scale = ("G", 1e9) if count >= 1e9 else ("M", 1e6)
    return f"≈ {count / scale:.1f} {unit}FLOP"


def _format_bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
