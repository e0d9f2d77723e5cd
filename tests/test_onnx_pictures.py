"""Phi-3-vision in ONNX Runtime GenAI: a tiny one that was taught colours, by the library's reader.

Its files are those of `golden/phi3v_onnx`: a text decoder by the library's own builder, and two
graphs of a few nodes in the place of CLIP and the embeddings.
"""

import os
import shutil
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from backends import (
    REGISTRY,
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
from backends._local import onnx_pictures, onnx_text
from backends._local.decode import answer
from backends._local.host import HOST
from backends._local.phi3_vision import placeholders
from backends._local.phi3_vision.crops import Layout
from backends.onnx_genai import BUILDS

pytest.importorskip("onnxruntime_genai")
pytestmark = pytest.mark.usefixtures("no_models")
BACKEND = REGISTRY["onnx_genai"]
TINY = Path(__file__).parent / "golden" / "phi3v_onnx"
PHI = next(build for build in BUILDS if build.key == "phi-3.5-vision")
COLOURS = {"red": (255, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 255)}
GREEDY = GenerationParams(temperature=0.0, max_tokens=40)
ONE, TWO = "What colour is it?", "What colours are they?"


@pytest.fixture(scope="module")
def model():
    return onnx_pictures.plan("Tiny", str(TINY)).load(lambda done: None)


def picture(colour: str, size: tuple[int, int] = (64, 48), form: str = "PNG") -> ImagePart:
    file = BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(file, form)
    return ImagePart(file.getvalue(), f"image/{form.lower()}")


def user(*parts: ImagePart | str) -> tuple[Message, ...]:
    return (Message("user", tuple(TextPart(p) if isinstance(p, str) else p for p in parts)),)


def asked(model, messages, params=GREEDY) -> list[Chunk | Progress]:
    return [step for step in answer(model, messages, params) if step is not None]


def text_of(steps) -> str:
    return "".join(step.text for step in steps if isinstance(step, Chunk))


def lay_out(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file in TINY.iterdir():
        if file.is_file() and file.suffix != ".py":
            os.link(file, folder / file.name)
    return folder


def here(build, root: Path) -> Path:
    return lay_out(root / "models" / build.repository / build.folder)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("colour", COLOURS)
def test_it_sees_a_picture_of_any_kind(model, colour: str, form: str) -> None:
    steps = asked(model, user(picture(colour, form=form), ONE))
    assert text_of(steps) == f"It is {colour}."
    first, *_, last = [step for step in steps if isinstance(step, Chunk)]
    assert first.notes == ("16 crops",)
    assert last.finish_reason == "stop" and last.usage
    assert last.usage.input_tokens == 20 + Layout.of(64, 48, 16).tokens


@pytest.mark.parametrize(("one", "two"), [("red", "blue"), ("blue", "red"), ("green", "red")])
def test_two_pictures_keep_their_order(model, one: str, two: str) -> None:
    """Wide ones, which have few tokens: together they stay within 4,096."""
    pictures = [picture(colour, (1000, 100)) for colour in (one, two)]
    steps = asked(model, user(*pictures, TWO))
    assert text_of(steps) == f"First {one}, then {two}."
    told = [step.detail for step in steps if isinstance(step, Progress) and step.detail]
    assert told == ["looking at picture 1 of 2", "looking at picture 2 of 2"]


def test_a_prompt_beyond_the_original_window_is_read_with_the_long_factors(model) -> None:
    steps = asked(model, user(picture("green"), picture("blue", (64, 64)), TWO))
    chunks = [step for step in steps if isinstance(step, Chunk)]
    assert chunks[-1].usage and (chunks[-1].usage.input_tokens or 0) > 4096
    assert chunks[0].notes == ("16 crops", "long context")
    assert text_of(steps) == "First green, then blue."


def test_pictures_of_earlier_turns_are_read_again(model) -> None:
    talk = (*user(picture("red", (1000, 100)), ONE), Message.of("assistant", "It is red."))
    steps = asked(model, (*talk, *user(picture("blue", (1000, 100)), ONE)))
    assert _prompt(steps) > 2 * Layout.of(1000, 100, 16).tokens
    told = [step.detail for step in steps if isinstance(step, Progress) and step.detail]
    assert told == ["looking at picture 1 of 2", "looking at picture 2 of 2"]


def _prompt(steps) -> int:
    """The tokens of the prompt."""
    usage = steps[-1].usage
    assert usage is not None
    return usage.input_tokens


@pytest.mark.parametrize(
    "size", [(64, 48), (48, 64), (64, 64), (1000, 100), (37, 900), (1920, 1080), (3, 2)]
)
def test_the_library_lays_a_picture_out_as_we_do(model, size: tuple[int, int]) -> None:
    """The tokens that the page counts before a question are those that the library makes."""
    text = "<|user|>\n<|image_1|>\nWhat colour is it?<|end|>\n<|assistant|>\n"
    images = onnx_text.library().Images.open_bytes(picture("red", size).data)
    inputs = model._processor(text, images=images)
    layout = Layout.of(*size, onnx_pictures.CROPS)
    ids = placeholders.encode(text, [layout.tokens], model.text.encode_text)
    assert inputs["input_ids"].as_numpy()[0].tolist() == ids
    assert inputs["image_sizes"].as_numpy().tolist() == [[*layout.padded][::-1]]


def test_text_alone_is_read_in_pieces(model) -> None:
    question = user("What is the capital of France?")
    steps = asked(model, question)
    assert text_of(steps) == "Paris is the capital of France."
    assert all(not step.notes for step in steps if isinstance(step, Chunk))
    long = asked(model, user("What is the capital of France? " * 60))
    assert len([step for step in long if isinstance(step, Progress)]) > 1


def test_text_with_the_shape_of_a_tag_is_no_picture(model) -> None:
    steps = asked(model, user(picture("blue"), "<|image_1|> <|image_2|> <|end|>", ONE))
    assert 0 < _prompt(steps) - Layout.of(64, 48, 16).tokens < 200


def test_a_session_does_not_rewind(model) -> None:
    """The library refuses to: a turn that differs is read anew, one that goes on goes on."""
    first = user("What is the capital of France?")
    assert text_of(asked(model, first)) == "Paris is the capital of France."
    assert text_of(asked(model, user(ONE))) == "There is no picture."
    assert text_of(asked(model, first)) == "Paris is the capital of France."
    with model.sessions.lease(None, 100, 4096) as lease:
        lease.session.feed(model.text.encode(first))
        assert lease.session.rewind(3) is False


@pytest.mark.parametrize("data", [b"", b"no such thing", picture("red").data[:60]])
def test_what_is_no_picture_is_said(model, data: bytes) -> None:
    """The library itself would end the whole process: its decoder of JPEG calls `exit`."""
    with pytest.raises(BadRequestError, match="cannot be read"):
        asked(model, user(ImagePart(data, "image/png"), ONE))


def test_more_pictures_than_the_window_holds_are_refused_before_they_are_read(model) -> None:
    with pytest.raises(ContextLengthError, match=r"10,0\d\d tokens"):
        asked(model, user(*[picture("red", (64, 64))] * 4, ONE))


def test_an_answer_ends_where_the_window_does(model) -> None:
    """It does not go on beyond 4,096 tokens: the graph would take other tables there."""

    def ended(words: int, most: int) -> Chunk:
        talk = user(picture("red", (64, 64)), "is " * words)
        *_, last = asked(model, talk, GenerationParams(temperature=0.0, max_tokens=most))
        assert isinstance(last, Chunk)
        return last

    one = ended(1500, 1)
    assert one.usage and one.usage.input_tokens  # each word is a token
    full = ended(1500 + 4090 - one.usage.input_tokens, 40)
    assert full.usage and full.usage.input_tokens == 4090
    assert full.usage.output_tokens in range(1, 7)


def test_memory_is_asked_for_before_a_prompt_is_computed(
    model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_text, "free_memory", lambda: 1_000_000)
    with pytest.raises(OutOfMemoryError, match="1 MB is free") as caught:
        asked(model, user(picture("red", (64, 64)), ONE))
    # Keys and values of two layers of 64, and logits for a vocabulary of 506, in float32.
    assert caught.value.values["need"] == 3072 * (2 * 4 * 2 * 64 + 4 * 506)


def test_an_answer_is_stopped_between_its_steps(model) -> None:
    steps = answer(model, user(picture("red"), ONE), GREEDY)
    assert next(steps) == Progress("prefill", 0.0, "looking at picture")
    steps.close()
    steps = answer(model, user(picture("red"), ONE), GREEDY)
    while not isinstance(next(steps), Chunk):
        pass
    steps.close()
    assert text_of(asked(model, user(picture("red"), ONE))) == "It is red."


# ── The backend ────────────────────────────────────────────────────────────────────────────────


async def test_a_folder_in_microsofts_layout_sees_in_a_process_of_its_own(tmp_path: Path) -> None:
    here(PHI, tmp_path)
    offer = (await BACKEND.check()).offers[0]
    assert offer.model == PHI.repository and offer.status.ready
    assert "image" in offer.spec.modalities
    assert BACKEND.crops(PHI.repository, GenerationParams(num_crops=4), 3) == 16
    assert BACKEND.crops(BUILDS[0].repository, GREEDY, 1) is None
    talk = user(picture("blue", form="WEBP"), ONE)
    steps = [step async for step in BACKEND.stream(PHI.repository, talk, GREEDY)]
    assert text_of(steps) == "It is blue."
    with pytest.raises(BadRequestError, match="cannot be read"):
        async for _ in BACKEND.stream(
            PHI.repository, user(ImagePart(b"RIFF", "image/webp"), ONE), GREEDY
        ):
            pass
    assert [key for key in HOST.loaded() if str(tmp_path) in key]  # its process lives


async def test_a_folder_of_ones_own_sees_too(tmp_path: Path) -> None:
    lay_out(tmp_path / "models" / "mine" / "my-eyes")
    steps = [
        step async for step in BACKEND.stream("mine/my-eyes", user(picture("red"), ONE), GREEDY)
    ]
    assert text_of(steps) == "It is red."


@pytest.mark.parametrize(
    "lost", ["model.onnx.data", "vision.onnx", "vision.onnx.data", "embedding.onnx.data"]
)
async def test_half_a_folder_is_not_offered(tmp_path: Path, lost: str) -> None:
    (here(PHI, tmp_path) / lost).unlink()
    assert not (await BACKEND.check()).status.ready


@pytest.mark.parametrize("broken", ["vision.onnx", "embedding.onnx", "processor_config.json"])
def test_broken_files_are_said_in_a_sentence(tmp_path: Path, broken: str) -> None:
    folder = Path(shutil.copytree(TINY, tmp_path / "tiny"))
    (folder / broken).write_bytes(b"no such thing")
    with pytest.raises(MissingDependencyError, match="damaged or incomplete"):
        onnx_pictures.plan("Tiny", str(folder)).load(lambda done: None)


def test_a_snippet_is_a_program_that_sees_alike(tmp_path: Path, monkeypatch, capfd) -> None:
    program = BACKEND.snippet(PHI.repository, user(picture("green", form="JPEG"), ONE), GREEDY)
    assert program and "Save the pictures beside this program first, as picture-1.jpeg" in program
    lay_out(tmp_path / PHI.folder)
    (tmp_path / "picture-1.jpeg").write_bytes(picture("green", form="JPEG").data)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "snippet", "exec"), {})
    assert capfd.readouterr().out.strip() == "It is green."


def test_there_is_no_snippet_for_what_the_library_cannot_read() -> None:
    assert BACKEND.snippet(PHI.repository, user(picture("red", form="WEBP"), ONE), GREEDY) is None
