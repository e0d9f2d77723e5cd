"""The pictures of the examples, drawn: `python -m tools.draw_examples`."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from . import beach, desk, documents, shapes, slides, story
from .clip import encode
from .sheet import Sheet

PICTURES: dict[str, Callable[[], Sheet]] = {
    "circle.png": shapes.circle,
    "triangles.png": shapes.triangles,
    "seven.png": shapes.digit,
    "detail.png": shapes.detail,
    "beach.jpg": beach.beach,
    "notice.png": documents.notice,
    "timetable.png": documents.timetable,
    "visitors.png": documents.visitors,
    "parameters.png": documents.parameters,
    "before.jpg": desk.before,
    "after.jpg": desk.after,
    "slide-1.png": slides.title,
    "slide-2.png": slides.sizes,
    "slide-3.png": slides.places,
    "slide-4.png": slides.steps,
}
"""What is drawn, by file name."""

CLIP = "clip.mp4"


def draw(folder: Path) -> None:
    """Write all pictures and the clip into a folder that exists."""
    for name, picture in PICTURES.items():
        _save(picture().finished(), folder / name)
    encode(story.frames(), folder / CLIP, (story.WIDTH, story.HEIGHT), story.RATE, story.LENGTH)


def _save(picture: Image.Image, path: Path) -> None:
    if path.suffix == ".jpg":
        picture.save(path, quality=85, optimize=True, progressive=True)
        return
    if picture.getcolors(2000):  # flat colours and soft edges; more would be a gradient in bands
        method = Image.Quantize.MAXCOVERAGE
        picture = picture.quantize(256, method, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
