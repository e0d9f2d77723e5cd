"""How a mixture of experts works: an essay with a figure, in the visitor's language."""

from pathlib import Path

from ...texts import told_in

ESSAY = Path(__file__).parent / "explained.html"


def explained_html() -> str:
    """Return the essay, with the facts of Phi-3.5-MoE and the weights of the figure's example."""
    return told_in(
        ESSAY.read_text("utf-8"),
        model="Phi-3.5-MoE", layers=32, experts=16, rest=14, share=12.5,
        total=41.9, active=6.6, size=83.7,
        pocket="Pocket-MoE",
        token="experts", first=0.62, second=0.54, sum=1.16,
    )  # fmt: skip


__all__ = ["explained_html"]
