"""The examples of pictures: the same in every language, each file drawn here, small and bare."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from statistics import correlation

import av
import pytest
from PIL import Image, ImageChops

from playground.examples import vision
from playground.examples.vision import VISION_TASKS, VisionExample, load_vision, picture_bytes
from playground.languages import LANGUAGES, detect, script_share
from tools.draw_examples import CLIP, PICTURES, draw, story

FOLDER = Path(vision.__file__).parent / "pictures"
CODES = [code for code in LANGUAGES if load_vision(code)]
EXAMPLES = [example for code in CODES for example in load_vision(code)]
OWN = [example for example in EXAMPLES if not example.source]


def name(example: VisionExample) -> str:
    return f"{example.language}-{example.task}"


# What is asked


def test_the_first_four_languages_are_here() -> None:
    assert {"en", "es", "zh", "ar"} <= set(CODES)
    assert load_vision("xx") == ()


@pytest.mark.parametrize("language", CODES)
def test_every_language_has_every_task_once_and_the_same_pictures(language: str) -> None:
    examples = load_vision(language)
    assert tuple(example.task for example in examples) == VISION_TASKS
    for ours, english in zip(examples, load_vision("en"), strict=True):
        assert ours.language == language
        for fact in ("pictures", "clip", "frames", "spacing", "pocket", "source"):
            assert getattr(ours, fact) == getattr(english, fact)


@pytest.mark.parametrize("language", CODES)
def test_what_the_built_in_model_can_answer_stands_first(language: str) -> None:
    flags = [example.pocket for example in load_vision(language)]
    assert flags == sorted(flags, reverse=True) and 3 <= sum(flags) <= 4


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_an_example_shows_pictures_or_frames_of_a_clip(example: VisionExample) -> None:
    assert bool(example.pictures) != bool(example.clip)
    assert (example.frames is not None) == (example.clip is not None)


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_titles_are_in_their_script_and_fit_a_button(example: VisionExample) -> None:
    letters = example.title.replace("Markdown", "")
    assert script_share(letters, LANGUAGES[example.language].script) >= 0.9
    assert 2 <= len(example.title) <= 28
    assert example.title == example.title.strip()


@pytest.mark.parametrize("example", OWN, ids=name)
def test_prompts_of_ours_are_in_their_language(example: VisionExample) -> None:
    assert detect(example.prompt.replace("Markdown", "")) == LANGUAGES[example.language]
    assert len(example.prompt) <= 300


def test_no_title_and_no_prompt_of_ours_appears_twice() -> None:
    for texts in ([each.title for each in EXAMPLES], [each.prompt for each in OWN]):
        assert len(texts) == len({text.casefold() for text in texts})


def test_the_demonstrations_of_the_course_are_asked_as_the_course_asks() -> None:
    for language in CODES:
        code, frames = (example for example in load_vision(language) if example.source)
        assert code.source == "19-slm/python/Phi-3-Vision-Nividia-NIM.ipynb"
        assert code.prompt == (
            "Please create Python code for image, and use plt to save the new picture under imgs/"
            " and name it phi-3-vision.jpg."
        )
        assert frames.source == "19-slm/python/phi35-vision-demo.ipynb"
        assert frames.prompt == "Summarize the video."
        assert (frames.frames, frames.spacing) == (21, "even")


@pytest.mark.parametrize(
    "mistake, error",
    [
        ({"task": "poetry"}, ValueError),
        ({"spacing": "odd"}, ValueError),
        ({"pictuers": []}, TypeError),
    ],
)
def test_a_mistake_in_the_file_is_found(
    mistake: dict[str, object],
    error: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row: dict[str, object] = {"task": "shape", "title": {"en": "a"}, "prompt": "b"}
    (tmp_path / "vision.json").write_text(json.dumps([row]))
    monkeypatch.setattr(vision, "_FOLDER", tmp_path)
    assert [example.title for example in load_vision("en")] == ["a"]
    (tmp_path / "vision.json").write_text(json.dumps([row | mistake]))
    with pytest.raises(error):
        load_vision("en")


# What is shown


def test_every_file_is_drawn_and_used() -> None:
    used = {file for example in EXAMPLES for file in (*example.pictures, example.clip) if file}
    assert used == {*PICTURES, CLIP}
    assert {path.name for path in FOLDER.iterdir()} == used | {"vision.json", "README.md"}
    assert "MIT" in (FOLDER / "README.md").read_text("utf-8")


@pytest.mark.parametrize("file", PICTURES)
def test_a_picture_is_small_and_says_nothing_of_its_maker(file: str) -> None:
    data = picture_bytes(file)
    assert len(data) <= 60_000
    with Image.open(BytesIO(data)) as picture:
        picture.load()
        assert picture.format == {".png": "PNG", ".jpg": "JPEG"}[Path(file).suffix]
        assert min(picture.size) >= 400 and max(picture.size) <= 1400
        assert not picture.getexif()
        jfif = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression"}
        assert set(picture.info) <= jfif


@pytest.mark.parametrize("wrong", ["vision.json", "../en.json", "", "/etc/hostname", "none.png"])
def test_only_pictures_of_examples_are_handed_out(wrong: str) -> None:
    with pytest.raises(ValueError, match="no example"):
        picture_bytes(wrong)


def test_the_loader_needs_no_picture_library() -> None:
    source = files("playground.examples").joinpath("vision.py").read_text("utf-8")
    assert "PIL" not in source and "import av" not in source


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw(folder)
    return folder


@pytest.mark.parametrize("file", PICTURES)
def test_the_program_draws_the_picture_again(file: str, redrawn: Path) -> None:
    with Image.open(FOLDER / file) as ours, Image.open(redrawn / file) as again:
        assert ours.size == again.size
        difference = ImageChops.difference(ours.convert("RGB"), again.convert("RGB"))
    # Another version of a codec or of a processor's sine may move a shade, or a point of an edge.
    changed = sum(difference.convert("L").histogram()[9:])
    assert changed <= ours.width * ours.height / 10_000


# The clip


def decoded(path: Path) -> Iterator[Image.Image]:
    with av.open(str(path)) as clip:
        for frame in clip.decode(video=0):
            yield frame.to_image()


@cache
def cuts(path: Path) -> list[int]:
    """The frames with which the picture changes, as the course finds them: histograms of 256
    shades of grey, whose correlation with those before is below 0.9."""
    shades = [frame.convert("L").histogram() for frame in decoded(path)]
    return [i for i, (a, b) in enumerate(pairwise(shades), 1) if correlation(a, b) < 0.9]


def test_the_clip_plays_everywhere_and_is_small_and_silent() -> None:
    assert len(picture_bytes(CLIP)) <= 250_000
    with av.open(str(FOLDER / CLIP)) as clip:
        (stream,) = clip.streams.video
        assert len(clip.streams) == 1
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.width, context.height) == (640, 360)
        assert clip.duration is not None and 10 <= clip.duration / av.time_base <= 12
        assert set(clip.metadata) <= {"major_brand", "minor_version", "compatible_brands"}


def test_the_clip_changes_where_a_scene_of_the_story_ends() -> None:
    scenes = len(story.SCENES)
    assert scenes == 7
    assert cuts(FOLDER / CLIP) == [i * story.LENGTH for i in range(1, scenes)]
    (told,) = (example for example in load_vision("en") if example.spacing == "scenes")
    assert told.frames == scenes


def test_a_player_can_jump_to_every_scene() -> None:
    with av.open(str(FOLDER / CLIP)) as clip:
        keys = [i for i, frame in enumerate(clip.decode(video=0)) if frame.key_frame]
    assert set(keys) >= {i * story.LENGTH for i in range(len(story.SCENES))}


def test_the_program_draws_the_clip_again(redrawn: Path) -> None:
    assert cuts(redrawn / CLIP) == cuts(FOLDER / CLIP)
    pairs = zip(decoded(FOLDER / CLIP), decoded(redrawn / CLIP), strict=True)
    for ours, again in pairs:
        shades = ImageChops.difference(ours, again).convert("L").histogram()
        assert sum(shades[25:]) <= ours.width * ours.height / 1000
