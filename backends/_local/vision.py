"""Conversations with pictures, as a model with eyes reads them in any engine."""

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .._core.catalog import ModelSpec
from .._core.errors import BadRequestError
from .._core.sentence import Sentence
from .._core.types import GenerationParams, ImagePart, Message, Progress
from .chat_text import ChatText, ImagePlaceholders
from .decode import most_tokens, too_long
from .phi3_vision.crops import Layout
from .seam import Prompt, Step

if TYPE_CHECKING:
    from PIL import Image

LONG_CONTEXT = 32_768
"""Tokens of prompt and answer together, where frames of a clip do not fit into less."""

CROPS_AT_ONCE = 4
"""Crops that CLIP sees in one step: about the work of 200 tokens of the prompt."""

REMEMBERED = 256e6
"""Bytes of pictures' vectors that are kept for a second question about them: about 16 pictures of
16 crops."""


def crops_of(params: GenerationParams, pictures: int) -> int:
    """In how many crops at most each of so many pictures is seen: as the visitor says, else as
    Microsoft advises, 16 for one picture and 4 for several (model card of Phi-3.5-vision-instruct).
    """
    return params.num_crops or (16 if pictures == 1 else 4)


def crops_by(spec: ModelSpec, params: GenerationParams, pictures: int) -> int | None:
    """The same by a model; `None` for one that does not cut pictures. See `Backend.crops`."""
    return crops_of(params, pictures) if spec.architecture == "phi3_v" else None


def looking_at(n: int, pictures: int) -> str:
    """What is said while a model looks at the `n`th of its pictures."""
    if pictures == 1:
        return "looking at picture"
    return Sentence("looking at picture {n} of {pictures}", n=n, pictures=pictures)


class PictureMemory:
    """The vectors of pictures that were seen, by picture and crops; the latest `REMEMBERED`."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[bytes, int], Any] = OrderedDict()

    def get(self, key: tuple[bytes, int]) -> Any:
        """What was seen, or `None`."""
        if key in self._seen:
            self._seen.move_to_end(key)
        return self._seen.get(key)

    def put(self, key: tuple[bytes, int], seen: Any) -> None:
        """Keep it; forget what was not asked for the longest."""
        self._seen[key] = seen
        while sum(one.nbytes for one in self._seen.values()) > REMEMBERED and len(self._seen) > 1:
            self._seen.popitem(last=False)


class PictureReader(ABC):
    """The half of a vision model that is the same in every engine: a base beside the engine's own.

    Arrays are the engine's: anything with a length, slices and `nbytes`.
    """

    label: str
    context: int
    text: ChatText
    _longest: int
    """Tokens of prompt and answer together, if they may be more than `context`; or `context`."""
    _memory: PictureMemory

    def read(
        self, messages: Sequence[Message], params: GenerationParams, held: ExitStack
    ) -> Generator[Step, None, Prompt]:
        """The conversation as vectors; each step is at most `CROPS_AT_ONCE` crops seen.

        Within Phi-3's original window of 4,096 tokens it is read with LongRoPE's short factors. If
        the answer may go beyond, the long ones hold from the first token on: they would for every
        token as soon as it did.
        """
        tags = ImagePlaceholders(self.text.controls)
        text = self.text.written(messages, tags)
        pictures = [opened(image) for image in tags.images]
        crops = crops_of(params, len(pictures))
        layouts = [Layout.of(*picture.size, crops) for picture in pictures]
        ids = self._encode(text, [layout.tokens for layout in layouts])
        long = self._longest > self.context < len(ids) + most_tokens(params)
        context = self._longest if long else self.context
        if len(ids) >= context:
            raise too_long(self.label, len(ids), context)
        if long:
            held.enter_context(self._reserved(len(ids), params))

        features: list[Any] = []
        for n, (image, picture) in enumerate(zip(tags.images, pictures, strict=True), 1):
            seen = yield from self._see(image, picture, crops, looking_at(n, len(pictures)))
            features.append(seen)
        notes = (Sentence("{n} crops", one="{n} crop", n=crops),) if pictures else ()
        notes += ("long context",) if long else ()
        return Prompt(self._embedded(ids, features), context, None, long, notes)

    def _see(
        self, image: ImagePart, picture: "Image.Image", crops: int, detail: str
    ) -> Generator[Step, None, Any]:
        """A picture's vectors (tokens, hidden size), from memory or from CLIP."""
        key = (hashlib.sha256(image.data).digest(), crops)
        if (known := self._memory.get(key)) is not None:
            return known
        yield Progress("prefill", 0.0, detail)
        pixels = self._pixels(decoded(picture), crops)
        features: list[Any] = []
        for start in range(0, len(pixels), CROPS_AT_ONCE):
            some = pixels[start : start + CROPS_AT_ONCE]
            features.append(self._look(some))
            yield Progress("prefill", min(1.0, (start + len(some)) / len(pixels)), detail)
        seen = self._lay_out(features, Layout.of(*picture.size, crops))
        self._memory.put(key, seen)
        return seen

    @abstractmethod
    def _encode(self, text: str, counts: Sequence[int]) -> list[int]:
        """A prompt as tokens, with so many `-1`, `-2`, … where its pictures stand."""

    @abstractmethod
    def _pixels(self, picture: "Image.Image", crops: int) -> Any:
        """What CLIP is given of a picture: (1 + its crops, 3, 336, 336), the whole of it first."""

    @abstractmethod
    def _look(self, pixels: Any) -> Any:
        """What is seen on some crops."""

    @abstractmethod
    def _lay_out(self, features: Sequence[Any], layout: Layout) -> Any:
        """What was seen of a picture as its vectors: (tokens, hidden size)."""

    @abstractmethod
    def _embedded(self, ids: Sequence[int], features: Sequence[Any]) -> Any:
        """The prompt as vectors: words, and pictures where `-1`, `-2`, … stand."""

    def _reserved(self, tokens: int, params: GenerationParams) -> AbstractContextManager[None]:
        """Memory for a conversation longer than `context`, in an engine that has such ones."""
        return nullcontext()


def opened(image: ImagePart) -> "Image.Image":
    """A picture whose size is known; its pixels are read when they are wanted.

    Raises `BadRequestError` if it is none.
    """
    from PIL import Image

    with _reading_errors():
        return Image.open(BytesIO(image.data), formats=("PNG", "JPEG", "WEBP"))


def decoded(picture: "Image.Image") -> "Image.Image":
    """Its pixels. Raises `BadRequestError` if they cannot be read."""
    with _reading_errors():
        return picture.convert("RGB")


@contextmanager
def _reading_errors() -> Generator[None, None, None]:
    """Turn what Pillow raises into an error of ours."""
    from PIL import Image

    try:
        yield
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadRequestError(
            "A picture of this conversation cannot be read.", "Remove it and add it again."
        ) from error
