"""The cost of an answer in one line: a model's parameters, memory, speed and arithmetic."""

from backends import ModelSpec, Sentence
from playground.conversation import AnswerRecord

from ...compare.status import format_parameters
from ...texts import told, told_as

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
    parameters = format_parameters(spec.parameters)
    code = "{parameters} parameters, all at work on each token"
    if spec.is_mixture:
        code = "{parameters} parameters, {active} at work on each token"
    flops = _format_flops(flops_per_token(spec))
    pieces = [
        (Sentence(code, parameters=parameters, active=active), ""),
        (Sentence("{size} in bf16", size=_format_bytes(spec.weights_size)), _MEMORY),
        (Sentence("{flops} a token = 2 × {active}", flops=flops, active=active), _FORMULA),
    ]
    if record and record.model == spec.label and record.tokens_per_second:
        speed = Sentence(
            "{speed:tenths} tokens/s in the last answer", speed=record.tokens_per_second
        )
        pieces.append((speed, ""))
    spans = (
        f"<span{told_as('title', why) if why else ''}>{told(text)}</span>" for text, why in pieces
    )
    return f'<p class="model-cost">{"".join(spans)}</p>'


def _format_flops(count: float) -> str:
    """Format a number of operations: `13.2 GFLOP`, `3.1 MFLOP`."""
    unit, scale = ("G", 1e9) if count >= 1e9 else ("M", 1e6)
    return f"≈ {count / scale:.1f} {unit}FLOP"


def _format_bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
