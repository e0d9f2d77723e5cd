"""A vision model in PyTorch: pictures become vectors, and then it reads on like any other."""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .._core.errors import BadRequestError, OutOfMemoryError
from .._core.types import GenerationParams, ImagePart, Message, Progress
from .chat_text import ChatText, ImagePlaceholders
from .decode import most_tokens, too_long
from .machine import gigabytes
from .phi3_vision.crops import Layout
from .placement import Placement
from .seam import Prompt, Step
from .torch_model import TorchModel, cache_bytes, free_on
from .weights import damaged

if TYPE_CHECKING:
    import torch
    from PIL import Image

LONG_CONTEXT = 32_768
"""Tokens of prompt and answer together, where frames of a clip do not fit into less."""

CROPS_AT_ONCE = 4
"""Crops that CLIP sees in one step: about the work of 200 tokens of the prompt."""

REMEMBERED = 256e6
"""Bytes of pictures' vectors that are kept for a second question about them: about 16 pictures of
16 crops."""


def crops_of(params: GenerationParams, pictures: int) -> int:
    """In how many crops at most each of so many pictures is seen: as Microsoft advises, 16 for one
    picture and 4 for several (model card of Phi-3.5-vision-instruct)."""
    return params.num_crops or (16 if pictures == 1 else 4)


class VisionModel(TorchModel):
    """A loaded Phi-3-vision. What it saw once, it remembers for the next question."""

    supports_device_map: ClassVar[bool] = False

    def __init__(self, label: str, model: Any, text: ChatText) -> None:
        super().__init__(label, model, text)
        self._processor: Any = None
        self._seen: OrderedDict[tuple[bytes, int], torch.Tensor] = OrderedDict()
        self._longest = min(LONG_CONTEXT, model.config.max_position_embeddings)

    @classmethod
    def load(
        cls,
        folder: Path,
        label: str,
        device: str,
        dtype: str,
        report: Callable[[float], None],
        placement: Placement | None = None,
    ) -> Self:
        """Read a checkpoint; see `TorchModel.load`."""
        from transformers import AutoTokenizer

        from .phi3_vision import Phi3VImageProcessor, Phi3VProcessor, register

        register()
        try:
            pictures = Phi3VImageProcessor.from_pretrained(folder)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise damaged(label, folder) from error
        loaded = super().load(folder, label, device, dtype, report, placement)
        loaded._processor = Phi3VProcessor(pictures, tokenizer)
        return loaded

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
        pictures = [_opened(image) for image in tags.images]
        crops = crops_of(params, len(pictures))
        layouts = [Layout.of(*picture.size, crops) for picture in pictures]
        ids: list[int] = self._processor.encode(text, [layout.tokens for layout in layouts])
        long = self._longest > self.context < len(ids) + most_tokens(params)
        context = self._longest if long else self.context
        if len(ids) >= context:
            raise too_long(self.label, len(ids), context)
        if long:
            held.enter_context(self._reserved(len(ids), params))

        features: list[torch.Tensor] = []
        for n, (image, picture) in enumerate(zip(tags.images, pictures, strict=True), 1):
            of = f" {n} of {len(pictures)}" if len(pictures) > 1 else ""
            seen = yield from self._see(image, picture, crops, f"looking at picture{of}")
            features.append(seen)
        notes = (f"{crops} crop{'s' * (crops > 1)}",) if pictures else ()
        notes += ("long context",) if long else ()
        return Prompt(self._embedded(ids, features), context, None, long, notes)

    def _see(
        self, image: ImagePart, picture: "Image.Image", crops: int, detail: str
    ) -> Generator[Step, None, "torch.Tensor"]:
        """A picture's vectors (tokens, hidden size), from memory or from CLIP."""
        import torch

        key = (hashlib.sha256(image.data).digest(), crops)
        if (known := self._seen.get(key)) is not None:
            self._seen.move_to_end(key)
            return known
        yield Progress("prefill", 0.0, detail)
        inputs = self._processor.image_processor([_decoded(picture)], num_crops=crops)
        layout = Layout.of(*picture.size, crops)
        pixels = inputs["pixel_values"][0][: 1 + layout.rows * layout.columns]
        eyes = self.model.model.vision_embed_tokens
        features: list[torch.Tensor] = []
        for start in range(0, len(pixels), CROPS_AT_ONCE):
            torch.set_num_threads(self.threads)
            with torch.inference_mode():
                some = pixels[start : start + CROPS_AT_ONCE].to(self.model.device, self.model.dtype)
                features.append(eyes.get_img_features(some))
                features[-1].flatten()[0].item()  # waits for a GPU, or the steps would pile up
            yield Progress("prefill", min(1.0, (start + len(some)) / len(pixels)), detail)
        with torch.inference_mode():
            seen = eyes.lay_out(torch.cat(features), layout.rows, layout.columns)
        self._remember(key, seen)
        return seen

    def _remember(self, key: tuple[bytes, int], seen: "torch.Tensor") -> None:
        self._seen[key] = seen
        while sum(one.nbytes for one in self._seen.values()) > REMEMBERED and len(self._seen) > 1:
            self._seen.popitem(last=False)

    def _embedded(self, ids: list[int], features: list["torch.Tensor"]) -> "torch.Tensor":
        """The prompt as vectors: words, and pictures where `-1`, `-2`, … stand."""
        import torch

        with torch.inference_mode():
            tokens = torch.tensor(ids, device=self.model.device)
            words = self.model.get_input_embeddings()(tokens.clamp_min(0))
            for n, seen in enumerate(features, 1):
                words[tokens == -n] = seen.to(words)
            return words

    @contextmanager
    def _reserved(self, tokens: int, params: GenerationParams) -> Generator[None, None, None]:
        """Memory for a long conversation; refused beforehand where it would run out half-way."""
        length = min(tokens + most_tokens(params), self._longest)
        config, width = self.model.config.to_dict(), self.model.dtype.itemsize
        device, need = str(self.model.device), cache_bytes(config, length, width)
        with _RESERVING:
            # What others took of theirs already counts twice: too careful, but never too late.
            free = free_on(device) - _RESERVED[device]
            if need > free:
                raise OutOfMemoryError(
                    f"A conversation of {tokens:,} tokens needs {gigabytes(need)} of memory beside "
                    f"{self.label}; {gigabytes(max(0, free))} is free.",
                    "Take fewer frames or pictures, fewer crops, or close other programs.",
                    need=need,
                    free=free,
                )
            _RESERVED[device] += need
        try:
            yield
        finally:
            with _RESERVING:
                _RESERVED[device] -= need


_RESERVED: Counter[str] = Counter()
"""Bytes that long conversations may still take, by device."""
_RESERVING = Lock()


def _opened(image: ImagePart) -> "Image.Image":
    """A picture whose size is known; its pixels are read when they are wanted."""
    from PIL import Image

    with _reading_errors():
        return Image.open(BytesIO(image.data), formats=("PNG", "JPEG", "WEBP"))


def _decoded(picture: "Image.Image") -> "Image.Image":
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
