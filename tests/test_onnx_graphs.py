"""Pocket-MoE and Pocket-Vision in plain ONNX Runtime: what they answer, of which files, by what."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from backends import (
    BadRequestError,
    Chunk,
    ContextLengthError,
    ExpertRouting,
    GenerationParams,
    ImagePart,
    Message,
    MissingDependencyError,
    Progress,
    TextPart,
)
from backends._local import decode, onnx_moe, onnx_vision
from backends._local.onnx_graph import GraphModel, GraphSession
from backends._local.seam import Prompt
from backends._local.vision import CROPS_AT_ONCE
from backends._local.weights import safetensors_header
from playground.agent import read_steps
from playground.examples.moe import load_moe
from playground.examples.vision import VisionExample, load_vision, picture_bytes
from playground.media.pictures import PictureLimits, read_picture
from tools.pocket import errands, lesson

ROOT = Path(__file__).parent.parent
MOE, VISION = lesson.MODELS / "pocket-moe", lesson.MODELS / "pocket-vision"
LANGUAGES = ("en", "es", "zh", "ar")
ROUNDING = 1e-4
"""As in `rounding`, which loads PyTorch: a prompt in one feed and in several, or after another one,
was 8e-6 apart at most; a token that is forgotten or comes twice moves logits by 0.1."""
CLEAR = 100 * ROUNDING
"""By how much each token of an answer must lead before its text is asserted."""


def load(engine: Any, folder: Path) -> Any:
    return engine.plan(label=folder.name, folder=str(folder)).load(lambda done: None)


@pytest.fixture(scope="module")
def moe() -> Any:
    return load(onnx_moe, MOE)


@pytest.fixture(scope="module")
def vision() -> Any:
    return load(onnx_vision, VISION)


class Answer(NamedTuple):
    steps: list[Chunk | Progress]
    lead: float
    """The least by which a token of it led the next best."""

    @property
    def chunks(self) -> list[Chunk]:
        return [step for step in self.steps if isinstance(step, Chunk)]

    @property
    def text(self) -> str:
        assert self.lead > CLEAR
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def routing(self) -> list[ExpertRouting]:
        return [one for chunk in self.chunks for one in chunk.routing]


def ask(model: GraphModel, *messages: Message, **params: Any) -> Answer:
    """A greedy answer."""
    logits: list[np.ndarray[Any, Any]] = []
    feed = GraphSession.feed

    def noted(self: GraphSession, tokens: Any, in_prompt: bool = True) -> Any:
        output = feed(self, tokens, in_prompt)
        logits[:] = [output.logits] if in_prompt else [*logits, output.logits]
        return output

    wanted = GenerationParams(**{"temperature": 0, "max_tokens": 300} | params)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GraphSession, "feed", noted)
        steps = [step for step in decode.answer(model, messages, wanted) if step is not None]
    usage = next(s.usage for s in steps if isinstance(s, Chunk) and s.usage)
    best = np.sort(np.stack(logits[: usage.output_tokens]), axis=-1)[:, -2:]
    return Answer(steps, float((best[:, 1] - best[:, 0]).min()))


def user(*parts: str | ImagePart) -> Message:
    return Message("user", tuple(TextPart(p) if isinstance(p, str) else p for p in parts))


def picture(width: int, height: int, seed: int = 0) -> ImagePart:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return ImagePart(file.getvalue(), "image/png")


def drawn(example: VisionExample) -> list[ImagePart]:
    names = example.pictures
    return [read_picture(picture_bytes(name), name, PictureLimits()).part for name in names]


# The files


class External(NamedTuple):
    """A tensor of a graph that lies in another file."""

    kind: int
    shape: list[int]
    place: dict[str, str]


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a protobuf message's fields: whole numbers, or bytes."""

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    at = 0
    while at < len(data):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
            continue
        length = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        yield number, data[at : at + length]
        at += length


def externals(graph: Path) -> dict[str, External]:
    """The tensors of an ONNX file that lie elsewhere (`onnx.proto`: the numbers are its fields)."""
    found: dict[str, External] = {}
    (model,) = (value for number, value in fields(graph.read_bytes()) if number == 7)
    for tensor in (value for number, value in fields(model) if number == 5):
        parts = [*fields(tensor)]
        entries = [dict(fields(value)) for number, value in parts if number == 13]
        if entries:
            name = next(value for number, value in parts if number == 8).decode()
            kind = next(value for number, value in parts if number == 2)
            place = {entry[1].decode(): entry[2].decode() for entry in entries}
            shape = [value for number, value in parts if number == 1]
            found[name] = External(kind, shape, place)
    return found


@pytest.mark.parametrize(
    ("folder", "graphs"),
    [(MOE, ["decoder"]), (VISION, ["decoder", "embedding", "eyes"])],
    ids=["moe", "vision"],
)
def test_graphs_hold_no_weights_but_places_in_the_checkpoint(
    folder: Path, graphs: list[str]
) -> None:
    assert sorted(file.stem for file in folder.glob("*.onnx")) == graphs
    checkpoint = folder / "model.safetensors"
    start, tensors = safetensors_header(checkpoint)
    used: set[str] = set()
    for file in folder.glob("*.onnx"):
        assert file.stat().st_size < 100_000
        for name, (kind, shape, place) in externals(file).items():
            begin, end = tensors[name]["data_offsets"]
            assert (kind, shape) == (16, tensors[name]["shape"])  # bfloat16
            assert place == {
                "location": checkpoint.name,
                "offset": str(start + begin),
                "length": str(end - begin),
            }
            assert start + end <= checkpoint.stat().st_size
            used.add(name)
    # CLIP's last layer is trained and not used: what is seen is taken before it.
    unused = {name for name in tensors if "layers.5." in name or "post_layernorm." in name}
    assert tensors.keys() - used == unused


def test_all_built_in_models_together_are_small_enough_for_git() -> None:
    files = [file for file in lesson.MODELS.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 36e6


@pytest.mark.parametrize("engine", [onnx_moe, onnx_vision], ids=["moe", "vision"])
@pytest.mark.parametrize("lost", ["config.json", "decoder.onnx", "tokenizer.json", "half"])
def test_what_is_damaged_or_incomplete_is_said(engine: Any, lost: str, tmp_path: Path) -> None:
    folder = shutil.copytree(MOE if engine is onnx_moe else VISION, tmp_path / "model")
    if lost == "half":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    else:
        (folder / lost).unlink()
    with pytest.raises(MissingDependencyError, match="damaged or incomplete"):
        load(engine, folder)


def test_it_takes_neither_pytorch_nor_transformers() -> None:
    code = """
import json, sys
from backends import Chunk, GenerationParams, ImagePart, Message, TextPart
from backends._local import decode, onnx_moe, onnx_vision
said = []
for engine, folder, parts in (
    (onnx_moe, sys.argv[1], ()),
    (onnx_vision, sys.argv[2], (ImagePart(open(sys.argv[3], "rb").read(), "image/png"),)),
):
    model = engine.plan(label="Pocket", folder=folder).load(lambda done: None)
    messages = [Message("user", (*parts, TextPart("What is it?")))]
    params = GenerationParams(temperature=0, max_tokens=5, num_crops=4)
    steps = decode.answer(model, messages, params)
    said.append("".join(step.text for step in steps if isinstance(step, Chunk)))
heavy = {"torch", "transformers", "onnx", "onnxruntime_genai"} & {*sys.modules}
print(json.dumps([all(said), sorted(heavy)]))
"""
    image = ROOT / "playground" / "examples" / "pictures" / "circle.png"
    command = [sys.executable, "-c", code, str(MOE), str(VISION), str(image)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ, cwd=ROOT, check=True
    )
    assert json.loads(done.stdout) == [True, []]


# The session


def prompt_of(model: Any, message: Message, **params: Any) -> Prompt:
    """What a model makes of a question before it reads it."""
    steps = model.read([message], GenerationParams(**params), ExitStack())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def logits(session: GraphSession, tokens: Any, *ends: int) -> np.ndarray[Any, Any]:
    """After the last of some tokens, read up to each of `ends`."""
    for start, end in zip((0, *ends), (*ends, len(tokens)), strict=True):
        output = session.feed(tokens[start:end])
    return output.logits


@pytest.fixture(params=["moe", "vision"])
def reading(request: pytest.FixtureRequest) -> tuple[GraphModel, Any]:
    """A model, and some that it may read: tokens, or vectors of words and of a picture."""
    model = request.getfixturevalue(request.param)
    if request.param == "moe":
        return model, np.random.default_rng(0).integers(300, 4000, 300).tolist()
    return model, prompt_of(model, user(picture(300, 200), "What is it?"), num_crops=1).tokens


def test_a_prompt_in_pieces_is_what_it_is_whole(reading: tuple[GraphModel, Any]) -> None:
    model, tokens = reading
    assert len(tokens) > 258
    whole = logits(GraphSession(model, 512), tokens)
    pieces = logits(GraphSession(model, 1024), tokens, 1, 2, 258)
    assert np.abs(whole - pieces).max() <= ROUNDING


def test_what_is_forgotten_leaves_no_trace(reading: tuple[GraphModel, Any]) -> None:
    model, tokens = reading
    whole = logits(GraphSession(model, 512), tokens)
    session = GraphSession(model, 512)
    session.feed([7, 8, 9])
    assert session.rewind(0)
    session.feed(tokens[:100])
    session.feed([1000] * 50)
    assert session.rewind(100)
    assert np.abs(session.feed(tokens[100:]).logits - whole).max() <= ROUNDING


def test_two_conversations_never_mix(reading: tuple[GraphModel, Any]) -> None:
    model, tokens = reading
    one, two = GraphSession(model, 512), GraphSession(model, 512)
    alone = logits(GraphSession(model, 512), tokens)
    for start in range(0, len(tokens), 60):
        mixed = one.feed(tokens[start : start + 60]).logits
        two.feed([1000] * 20)
    assert np.abs(mixed - alone).max() <= ROUNDING


# Pocket-MoE


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_answers_the_lesson(moe: Any, language: str) -> None:
    for name in ("what", "moe", "about"):
        topic = lesson.dialogues()[language].topics[name]
        assert ask(moe, user(topic.questions[0])).text == lesson.MOE.say(topic)


def test_its_routing_covers_every_token(moe: Any) -> None:
    answer = ask(moe, user("What is a mixture of experts?"))
    assert answer.text.startswith("In a **mixture of experts**")
    usage = next(chunk.usage for chunk in answer.chunks if chunk.usage)
    told = [one.in_prompt for one in answer.routing]
    assert told == [True] * usage.input_tokens + [False] * usage.output_tokens
    assert answer.routing[-1].token == "<|end|>"
    assert {one.num_experts for one in answer.routing} == {16}
    for one in answer.routing:
        assert len(one.experts) == len(one.weights) == 4
        assert all(min(pair) >= 0 and max(pair) < 16 for pair in one.experts)
        assert all(len({*pair}) == 2 for pair in one.experts)
        assert all(min(pair) > 0 and max(pair) <= 1 for pair in one.weights)


def test_its_prompt_is_read_and_told_each_time(moe: Any) -> None:
    question = user("What is a mixture of experts?")
    first, second = ask(moe, question, max_tokens=5), ask(moe, question, max_tokens=5)
    assert first.routing == second.routing and first.routing[0].in_prompt


def test_it_plays_the_courses_agent(moe: Any) -> None:
    example = next(e for e in load_moe("en") if e.system)
    messages = Message.of("system", example.system or ""), user(example.prompt)
    answer = ask(moe, *messages, max_tokens=1024)
    work = read_steps(answer.text)
    assert work and not work.repaired
    assert work.result == errands.POSTS["moe"][1]
    assert len(answer.routing) > 1000


# Pocket-Vision

SEEN = {
    "shape": ("red circle", "círculo rojo", "红色的圆形", "دائرة حمراء"),
    "count": ("three triangles", "tres triángulos", "三个三角形", "ثلاثة مثلثات"),
    "digit": ("7", "7", "7", "7"),
    "detail": ("triangle", "triángulo", "三角形", "مثلث"),
}
"""What is on the examples' pictures, in English, Spanish, Chinese and Arabic."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_sees_what_is_on_the_examples(vision: Any, language: str) -> None:
    found: set[str] = set()
    for example in load_vision(language):
        if example.pocket:
            word = SEEN[example.task][LANGUAGES.index(language)]
            assert word in ask(vision, user(*drawn(example), example.prompt), num_crops=4).text
            found.add(example.task)
    assert found == {*SEEN}


def looks(answer: Answer) -> list[tuple[str | None, float | None]]:
    """What was told while pictures were looked at."""
    steps = [step for step in answer.steps if isinstance(step, Progress)]
    return [(step.detail, step.fraction) for step in steps if step.detail]


def test_a_question_without_a_picture_is_answered(vision: Any) -> None:
    answer = ask(vision, user("What do you see?"))
    assert answer.text and answer.chunks[0].notes == ()


def test_it_says_what_it_looks_at_and_in_how_many_crops(vision: Any) -> None:
    pictures = picture(340, 340, 1), picture(50, 50, 2)
    answer = ask(vision, user(*pictures, "?"), max_tokens=2, num_crops=4)
    assert answer.chunks[0].notes == ("4 crops",)
    assert looks(answer) == [
        (f"looking at picture {n} of 2", fraction) for n in (1, 2) for fraction in (0.0, 0.8, 1.0)
    ]
    alone = ask(vision, user(picture(50, 50, 3), "?"), max_tokens=2, num_crops=1)
    assert looks(alone) == [("looking at picture", 0.0), ("looking at picture", 1.0)]


def test_it_looks_once_and_at_few_crops_a_step(vision: Any, monkeypatch: Any) -> None:
    looked: list[int] = []
    look = onnx_vision.OnnxVision._look

    def counted(self: Any, pixels: Any) -> Any:
        looked.append(len(pixels))
        return look(self, pixels)

    monkeypatch.setattr(onnx_vision.OnnxVision, "_look", counted)
    image = picture(700, 700, 11)
    ask(vision, user(image, "What is this?"), max_tokens=2, num_crops=4)
    assert sum(looked) == 5 and max(looked) <= CROPS_AT_ONCE
    ask(vision, user(image, "And what else?"), max_tokens=2, num_crops=4)
    assert sum(looked) == 5
    ask(vision, user(image, "Again"), max_tokens=2, num_crops=1)
    assert sum(looked) == 7


def test_a_broken_picture_is_said(vision: Any) -> None:
    half = picture(300, 300).data[:2000]
    for data in (b"", b"no picture", half):
        with pytest.raises(BadRequestError, match="cannot be read"):
            ask(vision, user(ImagePart(data, "image/png"), "?"))


def test_what_is_too_much_is_said_before_it_is_looked_at(vision: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(onnx_vision.OnnxVision, "_look", None)
    image = picture(700, 700)
    with pytest.raises(ContextLengthError, match="4,096"):
        ask(vision, user(*[image] * 6, "What is it?"), num_crops=4)
