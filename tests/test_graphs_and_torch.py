"""The Pocket models' graphs compute what PyTorch computes of the same checkpoints, in float32."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM

from backends import Chunk, ExpertRouting, GenerationParams, Message
from backends._local import decode, onnx_moe, onnx_vision
from backends._local.onnx_graph import GraphSession
from backends._local.phi3_vision.crops import hd_transform
from backends._local.phi3_vision.pixels import crop_pixels
from backends._local.torch_model import TorchSession
from backends._local.torch_vision import VisionModel
from tests.rounding import JITTER, ROUNDING, assert_greedy, assert_routed
from tests.test_onnx_graphs import MOE, VISION, load, picture, prompt_of, user

pytestmark = pytest.mark.engine

QUESTIONS = ("What is a mixture of experts?", "你是谁？", "The quick brown fox, 1234. " * 30)
"""One that is known by heart, one in another script, one that takes two chunks of the prefill."""
PIXEL = 1e-5
"""How far two ways may be apart in pixels of -2 to 2: 5e-7 at most were seen. Both resize in
float32; of a picture that is shifted by a hundredth of a pixel they differ by 1e-3."""


def greedy(model: Any, *messages: Message, **params: Any) -> list[Chunk]:
    wanted = GenerationParams(temperature=0, **{"max_tokens": 60} | params)
    steps = decode.answer(model, messages, wanted)
    return [step for step in steps if isinstance(step, Chunk)]


def routing_of(chunks: list[Chunk]) -> list[ExpertRouting]:
    return [one for chunk in chunks for one in chunk.routing]


@pytest.mark.parametrize("question", QUESTIONS, ids=["known", "chinese", "long"])
def test_a_mixture_chooses_and_answers_as_pytorch_does(question: str) -> None:
    reference = AutoModelForCausalLM.from_pretrained(MOE, dtype=torch.float32).eval()
    assert reference.config.router_jitter_noise == JITTER
    chunks = greedy(load(onnx_moe, MOE), user(question))
    routing = routing_of(chunks)
    ids = [one.id for one in routing]
    prompt = sum(one.in_prompt for one in routing)
    with torch.inference_mode():
        made = reference(torch.tensor([ids]), output_router_logits=True)
    experts = torch.tensor([one.experts for one in routing])
    weights = torch.tensor([one.weights for one in routing])
    assert_routed([*experts.unbind(1)], [*weights.unbind(1)], made.router_logits)
    assert_greedy(made.logits[0, prompt - 1 : -1], ids[prompt:])


def test_a_mixtures_logits_are_those_of_pytorch() -> None:
    reference = AutoModelForCausalLM.from_pretrained(MOE, dtype=torch.float32).eval()
    model = load(onnx_moe, MOE)
    tokens = model.text.encode([user(QUESTIONS[2])])
    with torch.inference_mode():
        expected = reference(torch.tensor([tokens])).logits[0]
    session = GraphSession(model, len(tokens))
    for start, end in ((0, 1), (1, 40), (40, len(tokens))):
        found = session.feed(tokens[start:end]).logits
        torch.testing.assert_close(torch.tensor(found), expected[end - 1], atol=ROUNDING, rtol=0)


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    """Pocket-Vision as a graph, and in PyTorch."""
    torch_model = VisionModel.load(VISION, "Pocket-Vision", "cpu", "float32", lambda done: None)
    return load(onnx_vision, VISION), torch_model


@pytest.mark.parametrize("crops", [1, 4, 16])
@pytest.mark.parametrize("size", [(300, 200), (100, 700), (336, 336), (7, 900), (1500, 1100)])
def test_pixels_are_those_that_pytorch_resizes(
    pair: tuple[Any, Any], size: tuple[int, int], crops: int
) -> None:
    image = Image.open(io.BytesIO(picture(*size).data)).convert("RGB")
    padded = hd_transform(image, crops)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    values = torch.tensor(np.array(padded)).permute(2, 0, 1) / 255
    values = (values - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    whole = torch.nn.functional.interpolate(values[None], (336, 336), mode="bicubic")
    tiles = values.unfold(1, 336, 336).unfold(2, 336, 336).permute(1, 2, 0, 3, 4).flatten(0, 1)
    expected = torch.cat([whole, tiles])
    pixels = torch.tensor(crop_pixels(padded, mean, std))
    torch.testing.assert_close(pixels, expected, atol=PIXEL, rtol=0)
    for model in pair:  # and each takes them so
        own = torch.as_tensor(model._pixels(image, crops))
        torch.testing.assert_close(own, expected, atol=PIXEL, rtol=0)


@pytest.mark.parametrize("crops", [1, 4])
def test_a_picture_is_seen_and_answered_as_by_pytorch(pair: tuple[Any, Any], crops: int) -> None:
    message = user(picture(500, 300, 4), "What is this? ", picture(90, 400, 5), "And 这个？")
    ours, theirs = (prompt_of(model, message, num_crops=crops) for model in pair)
    assert ours.context == theirs.context and ours.notes == theirs.notes
    expected, found = theirs.tokens, torch.tensor(ours.tokens)
    # They were a millionth of the greatest apart, which is 170.
    near = ROUNDING / 10 * float(expected.abs().max())
    torch.testing.assert_close(found, expected, atol=near, rtol=0)
    graph, session = GraphSession(pair[0], len(found) + 3), TorchSession(pair[1], False)
    for start, end in ((0, 200), (200, len(found))):
        own = torch.tensor(graph.feed(ours.tokens[start:end]).logits)
        other = torch.tensor(session.feed(expected[start:end]).logits)
        torch.testing.assert_close(own, other, atol=ROUNDING, rtol=0)
    for token in (int(own.argmax()), 1000, 345):
        own = torch.tensor(graph.feed([token], False).logits)
        other = torch.tensor(session.feed([token], False).logits)
        torch.testing.assert_close(own, other, atol=ROUNDING, rtol=0)
