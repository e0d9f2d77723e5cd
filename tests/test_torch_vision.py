"""Phi-3-vision on this machine: what the page answers is what the port itself would answer."""

import io
import json
import os
import shutil
from contextlib import aclosing
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from PIL import Image

from backends import (
    BadRequestError,
    Chunk,
    ContextLengthError,
    GenerationParams,
    ImagePart,
    Message,
    MissingDependencyError,
    OutOfMemoryError,
    Progress,
    TextPart,
)
from backends._local import decode, torch_model, torch_vision
from backends._local.chat_text import ImagePlaceholders
from backends._local.phi3_vision import Phi3VForCausalLM, Phi3VProcessor
from backends._local.phi3_vision.modeling import Phi3ImageEmbedding
from backends._local.vision import CROPS_AT_ONCE, PictureMemory, crops_of
from backends.transformers import Transformers
from tests import tiny
from tests.golden.phi3_vision import checkpoint
from tests.rounding import ROUNDING, lead

pytestmark = pytest.mark.engine

PHI = "microsoft/Phi-3.5-vision-instruct"
GREEDY = GenerationParams(max_tokens=6, temperature=0, num_crops=1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A tiny deterministic checkpoint where the real one would lie, in the published names."""
    cache = tmp_path_factory.mktemp("hub")
    repo = cache / f"models--{PHI.replace('/', '--')}"
    commit = "0" * 39 + "1"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    folder = checkpoint.write(repo / "snapshots" / commit, seed=1, num_crops=4)
    for file in tiny.checkpoint().iterdir():
        if file.name.startswith(("tokenizer", "chat_template")):
            shutil.copy(file, folder)
    config = json.loads((folder / "config.json").read_text())
    config["torch_dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config))
    return cache


@pytest.fixture
def backend(cache, monkeypatch, inline):
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.delenv("PHI_MODELS_DIR", raising=False)
    # Numbers that can be compared: float32, whatever this processor likes best.
    monkeypatch.setattr(
        "backends._local.torch_model.best_dtype", lambda device, parameters: "float32"
    )
    return Transformers()


@pytest.fixture
def seen(monkeypatch):
    """How many crops CLIP saw in each of its passes."""
    seen: list[int] = []
    see = Phi3ImageEmbedding.get_img_features

    def counted(self, pixels):
        seen.append(len(pixels))
        return see(self, pixels)

    monkeypatch.setattr(Phi3ImageEmbedding, "get_img_features", counted)
    return seen


def picture(width: int, height: int, seed: int = 0) -> ImagePart:
    file = io.BytesIO()
    checkpoint.picture(width, height, seed).save(file, "PNG")
    return ImagePart(file.getvalue(), "image/png")


def half(whole: ImagePart) -> ImagePart:
    return ImagePart(whole.data[: len(whole.data) // 2], whole.media_type)


def say(*parts: str | ImagePart) -> list[Message]:
    return [Message("user", tuple(TextPart(p) if isinstance(p, str) else p for p in parts))]


async def ask(backend, messages, params=GREEDY):
    return [step async for step in backend.stream(PHI, messages, params)]


def usage(steps) -> tuple[int, int]:
    last = steps[-1]
    return last.usage.input_tokens, last.usage.output_tokens


class Answer(NamedTuple):
    """The tokens of an answer, and the logits that each was chosen from."""

    tokens: list[int]
    logits: torch.Tensor

    def assert_same(self, other: "Answer") -> None:
        """The same tokens, from the same logits but for rounding: they tell what tokens hide."""
        assert self.tokens == other.tokens
        torch.testing.assert_close(self.logits, other.logits, atol=ROUNDING, rtol=0)


async def answered(backend, monkeypatch, messages, params=GREEDY) -> tuple[Answer, list]:
    """An answer as the engine chose it, and its steps."""
    chosen: list[int] = []
    logits: list[torch.Tensor] = []
    push, forward = decode._Writer.push, torch_model.TorchModel.forward

    def passed(self, *given, **more):
        made = forward(self, *given, **more)
        logits.append(made[0])
        return made

    def noted(self, token):
        chosen.append(token)
        return push(self, token)

    with monkeypatch.context() as patch:
        patch.setattr(decode._Writer, "push", noted)
        patch.setattr(torch_model.TorchModel, "forward", passed)
        steps = await ask(backend, messages, params)
    return Answer(chosen, torch.stack(logits[-len(chosen) :])), steps


def by_the_port(backend, prompt: str, images: list[ImagePart], crops: int, most: int) -> Answer:
    """What the port answers by itself, with the library's own `generate`: no close calls."""
    folder = backend.checkpoint(next(s for s in backend.specs() if s.hub_id == PHI))
    processor = Phi3VProcessor.from_pretrained(folder, num_crops=crops)
    model = Phi3VForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    pictures = [Image.open(io.BytesIO(image.data)) for image in images]
    inputs = processor(prompt, pictures, return_tensors="pt")
    wanted = {"return_dict_in_generate": True, "output_logits": True, "do_sample": False}
    made = model.generate(**inputs, max_new_tokens=most, **wanted)
    # So the engine's way, in chunks and after its own look at the crops, must come to the same.
    logits = torch.cat(made.logits)
    assert lead(logits).min() > 10 * ROUNDING
    return Answer(made.sequences[0, inputs["input_ids"].shape[1] :].tolist(), logits)


@pytest.mark.parametrize("sizes", [[(300, 200)], [(336, 336), (100, 700)], []])
async def test_answers_as_the_port_does(backend, monkeypatch, sizes):
    images = [picture(*size, seed) for seed, size in enumerate(sizes)]
    answer, _ = await answered(backend, monkeypatch, say(*images, "What is this?"))
    tags = "".join(f"<|image_{n}|>\n" for n, _ in enumerate(images, 1))
    prompt = f"<|user|>\n{tags}What is this?<|end|>\n<|assistant|>\n"
    answer.assert_same(by_the_port(backend, prompt, images, 1, 6))


async def test_pictures_are_numbered_through_the_conversation(backend, monkeypatch):
    first, second = picture(200, 300, 3), picture(400, 120, 4)
    messages = [
        *say(first, "One."),
        Message.of("assistant", "Seen."),
        *say("Before it ", second, "after it."),
    ]
    answer, _ = await answered(backend, monkeypatch, messages)
    prompt = (
        "<|user|>\n<|image_1|>\nOne.<|end|>\n<|assistant|>\nSeen.<|end|>\n"
        "<|user|>\nBefore it <|image_2|>\nafter it.<|end|>\n<|assistant|>\n"
    )
    answer.assert_same(by_the_port(backend, prompt, [first, second], 1, 6))


async def test_beyond_the_original_window_the_long_factors_hold_everywhere(backend, monkeypatch):
    images = [picture(640, 360, seed) for seed in range(6)]
    params = GenerationParams(max_tokens=4, temperature=0, num_crops=4)
    messages = say(*images, "Summarise.")
    answer, steps = await answered(backend, monkeypatch, messages, params)
    assert usage(steps)[0] > 4096
    assert next(s for s in steps if isinstance(s, Chunk)).notes == ("4 crops", "long context")
    tags = "".join(f"<|image_{n}|>\n" for n in range(1, 7))
    prompt = f"<|user|>\n{tags}Summarise.<|end|>\n<|assistant|>\n"
    answer.assert_same(by_the_port(backend, prompt, images, 4, 4))


async def test_short_answers_after_long_ones_are_what_they_were(backend, monkeypatch):
    short = say(picture(300, 200), "What is this?")
    before, _ = await answered(backend, monkeypatch, short)
    await ask(backend, say(picture(300, 200), "What?"), GenerationParams(max_tokens=4096, seed=1))
    (await answered(backend, monkeypatch, short))[0].assert_same(before)


async def test_a_second_question_does_not_look_again(backend, seen):
    image = picture(300, 200, 11)
    await ask(backend, say(image, "What is this?"))
    assert seen == [2]  # the picture as a whole, and its only crop
    await ask(backend, say(image, "And what is left of it?"))
    assert seen == [2]
    await ask(backend, say(image, "Closer!"), GenerationParams(max_tokens=2, num_crops=4))
    assert sum(seen) > 2


async def test_looks_at_few_crops_a_step_and_stops_between_them(backend, seen):
    params = GenerationParams(max_tokens=2, num_crops=16)
    async with aclosing(backend.stream(PHI, say(picture(900, 900, 12), "?"), params)) as steps:
        async for step in steps:
            if isinstance(step, Progress) and step.stage == "prefill" and step.fraction:
                break
    assert seen and max(seen) <= CROPS_AT_ONCE
    assert sum(seen) < 17


async def test_progress_says_which_picture_is_looked_at(backend):
    steps = await ask(backend, say(picture(50, 50, 20), picture(50, 50, 21), "?"))
    told = [step.detail for step in steps if isinstance(step, Progress) and step.detail]
    assert "looking at picture 1 of 2" in told and "looking at picture 2 of 2" in told


async def test_as_microsoft_advises_sixteen_crops_for_one_and_four_for_several(backend):
    assert crops_of(GenerationParams(), 1) == 16
    assert crops_of(GenerationParams(), 2) == crops_of(GenerationParams(), 21) == 4
    assert crops_of(GenerationParams(num_crops=1), 1) == 1
    steps = await ask(backend, say(picture(400, 400, 5), "?"), GenerationParams(max_tokens=2))
    assert next(s for s in steps if isinstance(s, Chunk)).notes == ("16 crops",)
    assert usage(steps)[0] > 2509 - 1


async def test_what_does_not_fit_is_refused_before_it_is_looked_at(backend, seen, monkeypatch):
    images = [picture(336, 336, seed) for seed in range(8)]
    params = GenerationParams(max_tokens=2, num_crops=16)
    monkeypatch.setattr("backends._local.torch_vision.free_on", lambda device: 1000)
    with pytest.raises(OutOfMemoryError, match="tokens needs"):
        await ask(backend, say(*images, "?"), params)
    with pytest.raises(ContextLengthError, match="32,768"):
        await ask(backend, say(*images * 2, "?"), params)
    assert seen == []


async def test_memory_of_one_long_answer_is_not_there_for_another(backend, inline, monkeypatch):
    images = [picture(336, 336, seed) for seed in range(14)]  # 4,382 tokens: a long answer
    question, params = say(*images, "?"), GenerationParams(max_tokens=50, num_crops=1)
    monkeypatch.setattr("backends._local.torch_vision.free_on", lambda device: 10**9)
    async with aclosing(backend.stream(PHI, question, params)) as first:
        async for step in first:
            if isinstance(step, Chunk):
                break
        (model,) = inline.models.values()
        need = model.promised
        assert need > 0
        monkeypatch.setattr("backends._local.torch_vision.free_on", lambda device: need * 3 // 2)
        with pytest.raises(OutOfMemoryError, match="is free"):
            await ask(backend, question, params)
    again = await ask(backend, question, replace(params, max_tokens=1))
    assert again[-1].finish_reason and model.promised == 0


async def test_memory_is_given_back_when_looking_fails(backend, inline):
    broken = say(*[picture(336, 336, seed) for seed in range(2)], half(picture(900, 900)), "?")
    with pytest.raises(BadRequestError, match="cannot be read"):
        await ask(backend, broken, GenerationParams(max_tokens=2, num_crops=16))
    (model,) = inline.models.values()
    assert model.promised == 0


async def test_a_checkpoint_without_its_picture_settings_is_damaged(backend, tmp_path):
    folder = backend.checkpoint(next(s for s in backend.specs() if s.hub_id == PHI))
    shutil.copytree(folder, tmp_path / "half", ignore=shutil.ignore_patterns("preprocessor*"))
    with pytest.raises(MissingDependencyError, match="damaged or incomplete"):
        torch_vision.VisionModel.load(tmp_path / "half", "Half", "cpu", "float32", lambda _: None)


async def test_a_tag_in_a_text_is_no_picture(backend):
    tags = ImagePlaceholders(["<|end|>"])
    message = say(picture(9, 9), "What does <|image_1|> or <|end|> mean?")[0]
    assert tags(message) == "<|image_1|>\nWhat does <\u2060|image_1|> or <\u2060|end|> mean?"
    steps = await ask(backend, say(picture(50, 50), "What is <|image_2|>?"))
    assert steps[-1].finish_reason


async def test_a_broken_picture_is_said(backend):
    half = picture(300, 300).data[:2000]
    for data in (b"", b"no picture", half):
        with pytest.raises(BadRequestError, match="cannot be read"):
            await ask(backend, say(ImagePart(data, "image/png"), "?"))


def test_the_memory_of_pictures_is_bounded(monkeypatch):
    monkeypatch.setattr("backends._local.vision.REMEMBERED", 1000)
    memory = PictureMemory()
    for n in range(5):
        memory.put((bytes([n]), 1), torch.zeros(100, dtype=torch.float32))
    assert [n for n in range(5) if memory.get((bytes([n]), 1)) is not None] == [3, 4]


def test_nothing_of_it_is_loaded_with_the_backends():
    import subprocess
    import sys

    code = "import sys, backends; print(sorted({'torch', 'PIL', 'transformers'} & {*sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True
    )
    assert done.stdout.strip() == "[]"
