"""A vision model in PyTorch: pictures become vectors, and then it reads on like any other."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .._core.errors import OutOfMemoryError
from .._core.sentence import Sentence
from .._core.types import GenerationParams
from .chat_text import ChatText
from .decode import most_tokens
from .phi3_vision.crops import Layout
from .placement import Placement
from .sessions import cache_bytes
from .torch_model import TorchModel, free_on
from .vision import LONG_CONTEXT, PictureMemory, PictureReader
from .weights import damaged

if TYPE_CHECKING:
    import torch
    from PIL import Image


class VisionModel(PictureReader, TorchModel):
    """A loaded Phi-3-vision. What it saw once, it remembers for the next question."""

    supports_device_map: ClassVar[bool] = False

    def __init__(self, label: str, model: Any, text: ChatText) -> None:
        super().__init__(label, model, text)
        self._processor: Any = None
        self._memory = PictureMemory()
        self.promised = 0
        """Bytes that the long conversations of this moment may still take."""
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

    def _encode(self, text: str, counts: Sequence[int]) -> list[int]:
        return self._processor.encode(text, counts)

    def _pixels(self, picture: "Image.Image", crops: int) -> "torch.Tensor":
        layout = Layout.of(*picture.size, crops)
        inputs = self._processor.image_processor([picture], num_crops=crops)
        return inputs["pixel_values"][0][: 1 + layout.rows * layout.columns]

    def _look(self, pixels: "torch.Tensor") -> "torch.Tensor":
        import torch

        torch.set_num_threads(self.threads)
        with torch.inference_mode():
            eyes = self.model.model.vision_embed_tokens
            features = eyes.get_img_features(pixels.to(self.model.device, self.model.dtype))
            features.flatten()[0].item()  # waits for a GPU, or the steps would pile up
            return features

    def _lay_out(self, features: Sequence["torch.Tensor"], layout: Layout) -> "torch.Tensor":
        import torch

        with torch.inference_mode():
            eyes = self.model.model.vision_embed_tokens
            return eyes.lay_out(torch.cat([*features]), layout.rows, layout.columns)

    def _embedded(self, ids: Sequence[int], features: Sequence["torch.Tensor"]) -> "torch.Tensor":
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
        need = cache_bytes(self.model.config.to_dict(), length, self.model.dtype.itemsize)
        # What others took of theirs already counts twice: too careful, but never too late.
        free = free_on(self.device) - self.promised
        if need > free:
            raise OutOfMemoryError(
                Sentence(
                    "A conversation of {tokens} tokens needs {need:bytes} of memory beside "
                    "{label}; {free:bytes} is free.",
                    tokens=tokens,
                    need=need,
                    label=self.label,
                    free=max(0, free),
                ),
                "Take fewer frames or pictures, fewer crops, or close other programs.",
                need=need,
                free=free,
            )
        self.promised += need
        try:
            yield
        finally:
            self.promised -= need
