"""Phi-3-vision at NVIDIA: its own form, its little room for pictures, its program."""

import asyncio
import base64
import io
import os
import random
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from backends import (
    REGISTRY,
    AuthenticationError,
    BackendConnectionError,
    BackendError,
    BadRequestError,
    Chunk,
    Connection,
    GenerationParams,
    ImagePart,
    Message,
    RetiredError,
    ServerError,
    TextPart,
)
from backends import nvidia_nim as nim
from backends._remote import endpoint as served
from backends._remote.image_fit import Fitted, base64_length, fit, in_words
from backends.nvidia_nim import vlm
from tests.stub import Reply, Stub, delta, sse

NIM = REGISTRY["nvidia_nim"]
MODEL = "microsoft/phi-3-vision-128k-instruct"
PATH = "/v1/vlm/microsoft/phi-3-vision-128k-instruct"
KEY = "nvapi-planted-4711"
HERE = Connection(None, KEY)
PLAIN = GenerationParams()
IMG = re.compile(r'<img src="data:(image/\w+);base64,([\w+/=]*)" />')


def noise(
    width: int, height: int, kind: str = "PNG", mode: str = "RGB", seed: int = 7
) -> ImagePart:
    """A picture that hardly gets smaller by packing it."""
    data = random.Random(seed).randbytes(width * height * len(mode))
    file = io.BytesIO()
    Image.frombytes(mode, (width, height), data).save(file, kind)
    return ImagePart(file.getvalue(), f"image/{kind.lower()}")


SMALL, SECOND = noise(40, 30), noise(30, 40, "JPEG")
LARGE, TINY = noise(700, 500), noise(9, 9)


def shown(*parts: ImagePart | str) -> tuple[Message, ...]:
    told = (TextPart(part) if isinstance(part, str) else part for part in parts)
    return (Message("user", tuple(told)),)


@pytest.fixture
def nvidia(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """The stub stands for both of NVIDIA's addresses."""
    for name in ("NIM_BASE_URL", "NVIDIA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(nim, "_tried", {})
    monkeypatch.setattr(nim, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(nim.NvidiaNIM, "address", stub.url)
    monkeypatch.setattr(nim.NvidiaNIM, "hosted", lambda self, url: url.startswith(stub.url))
    monkeypatch.setattr(nim.NvidiaNIM, "in_full", served.Served.in_full)
    monkeypatch.setattr(served.random, "uniform", lambda low, high: 0.0)
    monkeypatch.setattr(vlm, "URL", stub.url + PATH)
    stub.on(PATH, stream(delta("A c"), delta("at", "stop")))
    stub.on("/v1/models", Reply.of({"data": [{"id": MODEL}]}))
    return stub


def stream(*events: object, cut: bool = False, done: bool = True) -> Reply:
    headers = {"content-type": "text/event-stream"}
    return Reply((sse(*events, done=done),), headers=headers, cut=cut)


async def chunks_of(messages: tuple[Message, ...], params: GenerationParams = PLAIN) -> list[Chunk]:
    steps = NIM.stream(MODEL, messages, params, HERE)
    return [step async for step in steps if isinstance(step, Chunk)]


async def failure(messages: tuple[Message, ...]) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await chunks_of(messages)
    told = f"{caught.value} {caught.value!r} {caught.value.values}"
    assert KEY not in told and "base64" not in told
    return caught.value


def sent(stub: Stub) -> list[tuple[str, bytes]]:
    """The pictures of the last request: media type and bytes."""
    contents = "".join(message["content"] for message in stub.asked(PATH)[-1].json["messages"])
    return [(kind, base64.b64decode(data)) for kind, data in IMG.findall(contents)]


# The form


async def test_the_request(nvidia: Stub) -> None:
    params = GenerationParams(5, 0.2, 0.9, 40, 7, ("###",), num_crops=4)
    messages = (
        *shown("This ", SMALL, " and ", SECOND, " differ."),
        Message.of("assistant", "Yes."),
        Message.of("user", "How?"),
    )
    *_, end = chunks = await chunks_of(messages, params)
    assert "".join(chunk.text for chunk in chunks) == "A cat" and end.warnings == ()
    (seen,) = nvidia.seen
    one, two = (base64.b64encode(image.data).decode() for image in (SMALL, SECOND))
    assert seen.json == {
        "messages": [
            {
                "role": "user",
                "content": f'This <img src="data:image/png;base64,{one}" /> and '
                f'<img src="data:image/jpeg;base64,{two}" /> differ.',
            },
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "How?"},
        ],
        "max_tokens": 5,
        "temperature": 0.2,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["###"],
        "stream": True,
    }
    assert (seen.method, seen.headers["accept"]) == ("POST", "text/event-stream")
    assert seen.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("tag", ["<img", "<IMG", "< img", "<\nimg", "<<img", "<imgs"])
async def test_a_text_is_no_picture(nvidia: Stub, tag: str) -> None:
    text = f'{tag} src="data:image/png;base64,AAAA" />'
    await chunks_of((Message.of("system", text), *shown(text, SMALL), Message.of("user", text)))
    assert len(sent(nvidia)) == 1
    for message in nvidia.seen[0].json["messages"]:
        told = message["content"].replace(tag_of(SMALL), "")
        assert "AAAA" in told and "<img" not in told.lower()


def tag_of(part: ImagePart) -> str:
    return f'<img src="data:image/png;base64,{base64.b64encode(part.data).decode()}" />'


async def test_a_container_takes_the_usual_form(
    nvidia: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Stub() as container:
        monkeypatch.setenv("NIM_BASE_URL", container.url)
        container.on("/v1/chat/completions", stream(delta("Hi", "stop")))
        steps = NIM.stream(MODEL, shown(LARGE, "?"), PLAIN)
        assert [step.text async for step in steps if isinstance(step, Chunk)] == ["Hi", ""]
        (content,) = (message["content"] for message in container.seen[0].json["messages"])
        assert container.seen[0].json["model"] == MODEL
        assert base64.b64decode(content[0]["image_url"]["url"].partition(",")[2]) == LARGE.data
        assert "from openai import OpenAI" in (NIM.code(MODEL, shown(SMALL), PLAIN) or "")
    assert nvidia.seen == []


# Offered, tried, gone


async def test_it_is_tried_like_the_others(nvidia: Stub) -> None:
    (offer,) = (one for one in await NIM.models(HERE) if one.spec.key == "phi-3-vision")
    assert (offer.model, offer.status.code) == (MODEL, "untried")
    await NIM.probe(HERE)
    await NIM.probe(HERE)
    (tried,) = nvidia.asked(PATH)
    assert tried.json["max_tokens"] == 1 and "model" not in tried.json
    (offer,) = (one for one in await NIM.models(HERE) if one.spec.key == "phi-3-vision")
    assert offer.status.code == "ready_tried"
    gone = {"status": 410, "title": "Gone", "detail": f"The model '{MODEL}' has reached its end."}
    nvidia.on(PATH, Reply.of(gone, 410))
    assert isinstance(await failure(shown(SMALL)), RetiredError)
    (offer,) = (one for one in await NIM.models(HERE) if one.spec.key == "phi-3-vision")
    assert offer.status.state == "retired"
    program = NIM.code(MODEL, shown(SMALL), PLAIN, HERE) or ""
    assert program.startswith("# Careful: this program no longer works.")


async def test_one_that_is_no_longer_listed_is_gone(nvidia: Stub) -> None:
    nvidia.on("/v1/models", Reply.of({"data": []}))
    (offer,) = (one for one in await NIM.models(HERE) if one.spec.key == "phi-3-vision")
    assert offer.status.code == "unlisted" and "Phi-3.5-vision" in offer.status.message


async def test_a_promised_answer_is_fetched(nvidia: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nim, "POLL_URL", f"{nvidia.url}/status/")
    nvidia.on(PATH, Reply.of("", 202, NVCF_REQID="4f-1"))
    nvidia.on("/status/4f-1", Reply.of("", 202), stream(delta("Late", "stop")))
    assert (await chunks_of(shown(SMALL)))[0].text == "Late"
    for seen in nvidia.asked("/status/4f-1"):
        assert seen.headers["authorization"] == f"Bearer {KEY}"
        assert seen.headers["accept"] == "text/event-stream"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"status": 401, "title": "Unauthorized"}, AuthenticationError, "refused the key"),
        (413, "<html>", BadRequestError, "too large"),
        (
            422,
            {"detail": [{"msg": "data:image/png;base64,iVBORw0KGg bad"}]},
            BadRequestError,
            "bad",
        ),
        (500, {"detail": "Inference error"}, ServerError, "Inference error"),
    ],
)
async def test_refusals(nvidia: Stub, status: int, body: object, kind: type, words: str) -> None:
    nvidia.on(PATH, Reply.of(body, status))
    error = await failure(shown(SMALL))
    assert type(error) is kind and words in str(error) and "iVBOR" not in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        Reply((sse(delta("A c"), done=False), 'data: {"choices": "é'.encode()[:-1]), cut=True),
        stream(delta("A c"), cut=True, done=False),
        stream(delta("A c"), done=False),
    ],
)
async def test_an_answer_that_breaks_off(nvidia: Stub, reply: Reply) -> None:
    nvidia.on(PATH, reply)
    assert isinstance(await failure(shown(SMALL)), (BackendConnectionError, ServerError))


async def test_a_busy_service_is_asked_once_again(nvidia: Stub) -> None:
    nvidia.on(PATH, Reply.of("", 503), stream(delta("Now", "stop")))
    *_, end = await chunks_of(shown(LARGE))
    assert len(nvidia.asked(PATH)) == 2 and end.warnings


# The room


def opened(part: ImagePart) -> Image.Image:
    return Image.open(io.BytesIO(part.data))


async def test_a_large_picture_is_made_smaller_and_the_answer_says_so(nvidia: Stub) -> None:
    *_, end = await chunks_of(shown(LARGE, "What is it?"))
    ((kind, data),) = sent(nvidia)
    width, height = Image.open(io.BytesIO(data)).size
    assert kind == "image/jpeg" and 0.93 * 180_000 < base64_length(len(data)) < 180_000
    assert abs(width / height - 700 / 500) < 0.02
    assert end.warnings == (
        "NVIDIA takes PNG and JPEG pictures of 135 kB in all, so it sees the picture"
        f" at {width} × {height} pixels instead of 700 × 500.",
    )


async def test_the_room_is_shared_by_the_pictures_of_all_turns(nvidia: Stub) -> None:
    messages = (*shown(LARGE, SMALL), Message.of("assistant", "."), *shown(LARGE, SECOND, "?"))
    *_, end = await chunks_of(messages)
    pictures = sent(nvidia)
    lengths = [base64_length(len(data)) for _, data in pictures]
    assert sum(lengths) < 180_000 and sum(lengths) > 0.9 * 180_000
    assert pictures[1] == ("image/png", SMALL.data) and pictures[3] == ("image/jpeg", SECOND.data)
    assert abs(lengths[0] - lengths[2]) < 0.07 * lengths[0]
    (warning,) = end.warnings
    assert "picture 1 at" in warning and "and picture 3 at" in warning
    assert "picture 2" not in warning


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_picture_of_another_kind_becomes_a_jpeg(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (60, 40), (0,) * len(mode)).save(file, "WEBP")
    (one,) = fit([ImagePart(file.getvalue(), "image/webp")], 180_000, vlm.TAKEN, "NVIDIA")
    assert one.part.media_type == "image/jpeg" and opened(one.part).format == "JPEG"
    assert opened(one.part).getpixel((1, 1)) == (255, 255, 255), "transparent is white, not black"
    assert in_words([one], "NVIDIA", 180_000)[0].endswith("so it sees the picture as a JPEG.")


def test_a_picture_is_turned_upright_before_it_is_made_smaller() -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    opened(LARGE).save(file, "JPEG", exif=exif, quality=95)
    (one,) = fit([ImagePart(file.getvalue(), "image/jpeg")], 60_000, vlm.TAKEN, "NVIDIA")
    assert one.before == (500, 700) and opened(one.part).size == one.after


@pytest.mark.parametrize("most", [180_000, 40_000, 24_000])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_together_they_always_fit(most: int, count: int) -> None:
    parts = [noise(300 + 40 * n, 250, seed=n) for n in range(count)] + [TINY] * (count - 1)
    fitted = fit(parts, most, vlm.TAKEN, "NVIDIA")
    assert sum(base64_length(len(one.part.data)) for one in fitted) < most
    assert [one.before for one in fitted if one.before] == [
        (300 + 40 * n, 250) for n in range(count)
    ]


def test_what_fits_is_not_touched() -> None:
    parts = [noise(80, 80), SECOND, ImagePart(b"no picture at all", "image/png")]
    assert [one.part for one in fit(parts, 180_000, vlm.TAKEN, "N")] == parts
    room = sum(base64_length(len(part.data)) for part in parts)
    assert [one.part for one in fit(parts, room + 1, vlm.TAKEN, "N")] == parts
    assert [bool(one.before) for one in fit(parts, room, vlm.TAKEN, "N")] == [True, False, False]


def test_a_picture_that_only_needs_to_be_a_jpeg_keeps_its_size() -> None:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((900, 900)).convert("RGB").save(file, "BMP")
    flat = ImagePart(file.getvalue(), "image/png")
    (one,) = fit([flat], 180_000, vlm.TAKEN, "N")
    assert one.before == one.after == (900, 900)


def test_of_many_pictures_a_few_are_named() -> None:
    many = [Fitted(SMALL, (9, 9), (n, n)) for n in range(1, 7)]
    (words,) = in_words(many, "NVIDIA", 180_000)
    assert "picture 4 at 4 × 4 pixels instead of 9 × 9 and 2 more." in words
    assert "picture 5" not in words and len(words) < 400
    assert in_words([Fitted(SMALL)], "NVIDIA", 180_000) == ()


async def test_too_many_pictures_are_refused_before_any_request(nvidia: Stub) -> None:
    error = await failure(shown(*[LARGE] * 400))
    assert error.values["reason"] == "too_many_pictures" and "400 pictures" in error.message
    assert "fewer" in error.hint and nvidia.seen == []


@pytest.mark.parametrize("data", [b"", b"x" * 300_000, LARGE.data[:200_000]])
async def test_a_picture_that_cannot_be_read_is_refused(nvidia: Stub, data: bytes) -> None:
    error = await failure(shown(ImagePart(data, "image/webp"), "?"))
    assert error.values["reason"] == "unreadable_picture" and nvidia.seen == []
    assert "Careful: A picture" in (
        NIM.code(MODEL, shown(ImagePart(data, "image/webp")), PLAIN) or ""
    )


# The program


async def run(program: str, folder: Path) -> str:
    """What a program prints, started as a beginner would start it."""
    file = folder / "program.py"
    file.write_text(program, "utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "utf8", str(file)),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "NVIDIA_API_KEY": KEY},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return printed.decode()


CLEAR = noise(400, 300, mode="RGBA")


@pytest.mark.parametrize(
    ("parts", "files"),
    [
        (("Hello",), ()),
        ((SMALL, "What <img> is\nit?"), (SMALL,)),
        (("One: ", LARGE, " two: ", CLEAR, SMALL, SMALL, '"?"'), (LARGE, CLEAR, SMALL)),
    ],
    ids=["text", "small", "scaled"],
)
async def test_the_program_makes_the_same_request(
    nvidia: Stub, tmp_path: Path, parts: tuple, files: tuple
) -> None:
    messages = (Message.of("system", "Be 'brief'."), *shown(*parts))
    params = GenerationParams(32, 0.0, 0.95, 50, 7, ("###",))
    await chunks_of(messages, params)
    program = NIM.code(MODEL, messages, params, HERE)
    assert program and KEY not in program and "base64,iVBOR" not in program
    assert ("pip install pillow" in program) is (LARGE in files) and "openai" not in program
    assert max(map(len, program.splitlines())) <= 90
    for n, part in enumerate(files, 1):
        assert f"picture-{n}.png" in program
        (tmp_path / f"picture-{n}.png").write_bytes(part.data)
    assert await run(program, tmp_path) == "A cat\n"
    own, seen = nvidia.asked(PATH)
    assert seen.json == own.json
    assert seen.headers["authorization"] == own.headers["authorization"]
    assert seen.headers["accept"] == own.headers["accept"]
