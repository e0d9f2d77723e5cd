"""A vision model in ONNX Runtime GenAI, with the library's own reader of pictures."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .._core.sentence import Sentence
from .._core.types import GenerationParams, Message, Progress
from .chat_text import ChatText, ImagePlaceholders
from .decode import encode, too_long
from .onnx_text import Facts, OnnxSession, OnnxText, library, plan_of
from .phi3_vision import placeholders
from .phi3_vision.crops import Layout
from .seam import Plan, Prompt, Step
from .vision import LONG_CONTEXT, decoded, looking_at, opened

if TYPE_CHECKING:
    from PIL import Image

CROPS = 16
"""In how many crops the library sees a picture at most: built into it, whatever
`processor_config.json` says (tried with 0.18.0)."""
_USUAL_TOKENS = 3072
"""Tokens of a conversation that memory is asked for when a model is loaded: a picture has 2,509."""
WORKSPACE = 3_000_000_000
"""Bytes that Phi-3-vision takes beside its weights for an answer about one picture, from its shape:
its cache of so many tokens in float32 is 2.4 GB, the logits of the prompt 0.3 GB."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """A prompt with its pictures as the library has read it: it can be given as a whole only."""

    tensors: Any
    length: int
    """Tokens of it, those of its pictures included."""

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> "_Inputs":
        assert part.indices(self.length) == (0, self.length, 1)
        return self


class _Session(OnnxSession):
    """A generator of a vision model; see `seam.Session`."""

    def _give(self, tokens: Any) -> None:
        if isinstance(tokens, _Inputs):
            self._generator.set_inputs(tokens.tensors)
        else:
            super()._give(tokens)

    def rewind(self, length: int) -> bool:
        """Nothing is forgotten: the library refuses `rewind_to` for this type of model."""
        return False


class OnnxPictures(OnnxText):
    """A loaded folder of type `phi3v`; see `seam.Loaded`.

    Its pictures and the text around them are computed in one call of the library, which cannot be
    interrupted: a picture of 16 crops is 2,509 tokens. Stop is heard before it and after it; where
    it takes longer than `host.PATIENCE`, the process is ended. A conversation of text alone is
    read in pieces, as by any other engine.
    """

    def __init__(self, label: str, model: Any, text: ChatText, facts: Facts, threads: int) -> None:
        super().__init__(label, model, text, facts, threads)
        self._processor: Any = model.create_multimodal_processor()

    def read(
        self, messages: Sequence[Message], params: GenerationParams, held: ExitStack
    ) -> Generator[Step, None, Prompt]:
        """The prompt with its pictures; see `seam.Loaded.read`.

        A prompt that is itself longer than Phi-3's original window of 4,096 tokens is read with
        LongRoPE's long factors; one that is not ends there with its answer, as the graph takes
        other tables beyond, and the library cannot read it again.
        """
        tags = ImagePlaceholders(self.text.controls)
        text = self.text.written(messages, tags)
        if not tags.images:
            tokens = encode(self, messages)
            return Prompt(tokens, self.context, tokens)
        pictures = [opened(image) for image in tags.images]
        counts = [Layout.of(*picture.size, CROPS).tokens for picture in pictures]
        length = len(placeholders.encode(text, counts, self.text.encode_text))
        long = length > self.context
        context = min(LONG_CONTEXT, self._facts.longest) if long else self.context
        if length >= context:
            raise too_long(self.label, length, context)

        files: list[bytes] = []
        for n, picture in enumerate(pictures, 1):
            yield Progress("prefill", 0.0, looking_at(n, len(pictures)))
            files.append(_png(decoded(picture)))
        images = library().Images.open_bytes(*files)
        inputs = self._processor(text, images=images)
        length = inputs["input_ids"].shape()[-1]
        notes = (Sentence("{n} crops", n=CROPS), *(("long context",) if long else ()))
        return Prompt(_Inputs(inputs, length), context, None, long, notes, undivided=True)

    def _open(self, room: int) -> OnnxSession:
        # A prompt in one call has the logits of all its tokens at once, in float32.
        size = self._facts.bytes_per_token + 4 * self._facts.vocabulary
        return _Session(self._model, room, room * size)

    def close(self) -> None:
        """Give its memory back."""
        super().close()
        self._processor = None


def _png(picture: "Image.Image") -> bytes:
    """A picture as the library reads it on every system.

    It knows no WebP, and its decoder of JPEG ends the whole process for what is neither (0.18.0).
    """
    file = BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def plan(label: str, folder: str, context: int | None = None) -> Plan:
    """How to load a folder. Raises `MissingDependencyError` if it is damaged or incomplete."""
    return plan_of(OnnxPictures, label, folder, context, _USUAL_TOKENS)
