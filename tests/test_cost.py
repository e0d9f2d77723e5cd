"""What an answer costs, in a line: the numbers, their units, and where they come from."""

import re

import pytest

from backends import MODELS, known_model
from playground.conversation import AnswerRecord
from ui.tabs.moe.cost import cost_html, flops_per_token


def text(html: str) -> list[str]:
    return re.findall(r">([^<>]+)<", html)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (
            "phi-3.5-moe",
            [
                "41.9 B parameters, 6.6 B at work on each token",
                "83.7 GB in bf16",
                "≈ 13.2 GFLOP a token = 2 × 6.6 B",
            ],
        ),
        (
            "phi-3.5-mini",
            [
                "3.8 B parameters, all at work on each token",
                "7.6 GB in bf16",
                "≈ 7.6 GFLOP a token = 2 × 3.8 B",
            ],
        ),
        (
            "pocket-moe",
            [
                "4.1 M parameters, 1.6 M at work on each token",
                "8.3 MB in bf16",
                "≈ 3.1 MFLOP a token = 2 × 1.6 M",
            ],
        ),
    ],
)
def test_the_line(key: str, expected: list[str]) -> None:
    html = cost_html(MODELS[key], None)
    assert text(html) == expected
    assert "arXiv:2001.08361" in html and "whether they work or not" in html


def test_the_formula() -> None:
    assert flops_per_token(MODELS["phi-3.5-moe"]) == 2 * 6.6e9
    assert flops_per_token(MODELS["phi-3.5-mini"]) == 2 * MODELS["phi-3.5-mini"].parameters


def test_the_speed_is_that_of_the_same_model_only() -> None:
    spec = MODELS["pocket-moe"]
    record = AnswerRecord(model="Pocket-MoE", backend="Pocket", text="Hi", tokens_per_second=123.45)
    assert text(cost_html(spec, record))[-1] == "123.5 tokens/s in the last answer"
    other = record.model_copy(update={"model": "Pocket-3.5"})
    assert "tokens/s" not in cost_html(spec, other)


def test_of_what_nobody_knows_nothing_is_said() -> None:
    assert cost_html(None, None) == ""
    assert cost_html(known_model("a-model-of-my-own"), None) == ""
