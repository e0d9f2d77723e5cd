"""A vision model in ONNX Runtime: pictures become vectors, and then it reads on like any other."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .onnx_graph import Arrays, GraphModel, graph_plan, open_graph
from .phi3_vision.crops import CROP, LINES, Layout, hd_transform
from .phi3_vision.pixels import crop_pixels
from .phi3_vision.placeholders import encode
from .seam import Plan
from .vision import PictureMemory, PictureReader

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Array = np.ndarray[Any, Any]


class OnnxVision(PictureReader, GraphModel):
    """A loaded Phi-3-vision with its graphs. What it saw once, it remembers."""

    def __init__(self, label: str, folder: Path, config: dict[str, Any]) -> None:
        import numpy as np

        super().__init__(label, folder, config)
        settings = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
        self._mean, self._std = settings["image_mean"], settings["image_std"]
        self._embedding = open_graph(folder / "embedding.onnx")
        self._eyes = open_graph(folder / "eyes.onnx")
        self._memory = PictureMemory()
        self._longest = self.context  # the graph has one set of rotary frequencies
        nothing = np.zeros((0, 3, CROP, CROP), np.float32)
        self._line_end, self._separator = self._eyes.run(
            ["line_end", "separator"], {"pixels": nothing}
        )

    def given(self, tokens: "list[int] | Array") -> Arrays:
        """The vectors of some tokens, or those that the prompt was made into."""
        return {"vectors": self._words(tokens) if isinstance(tokens, list) else tokens}

    def _encode(self, text: str, counts: Sequence[int]) -> list[int]:
        return encode(text, counts, lambda piece: self.text.tokenizer.encode(piece).ids)

    def _pixels(self, picture: "Image.Image", crops: int) -> "Array":
        return crop_pixels(hd_transform(picture, crops), self._mean, self._std)

    def _look(self, pixels: "Array") -> "Array":
        """Crops into their tokens: (crops, 12, 12, hidden size)."""
        return self._eyes.run(["seen"], {"pixels": pixels})[0]

    def _lay_out(self, features: Sequence["Array"], layout: Layout) -> "Array":
        import numpy as np

        seen = np.concatenate([*features])
        crops, whole = self._lines(seen[1:], layout.rows, layout.columns), self._lines(seen[:1])
        return np.concatenate([crops, self._separator[None], whole])

    def _embedded(self, ids: Sequence[int], features: Sequence["Array"]) -> "Array":
        import numpy as np

        tokens = np.array(ids)
        vectors = self._words(tokens.clip(0))
        for n, seen in enumerate(features, 1):
            vectors[tokens == -n] = seen
        return vectors

    def _words(self, tokens: "Sequence[int] | Array") -> "Array":
        import numpy as np

        return self._embedding.run(None, {"tokens": np.asarray(tokens, np.int64)})[0]

    def _lines(self, seen: "Array", rows: int = 1, columns: int = 1) -> "Array":
        """Crops into the lines of tokens of the picture that they tile, each with its end."""
        import numpy as np

        # To (row of crops, line in it, column of crops, token in it, hidden size).
        lines = seen.reshape(rows, columns, LINES, LINES, -1).swapaxes(1, 2)
        lines = lines.reshape(rows * LINES, columns * LINES, -1)
        ends = np.broadcast_to(self._line_end, (len(lines), 1, lines.shape[-1]))
        return np.concatenate([lines, ends], axis=1).reshape(-1, lines.shape[-1])


def plan(label: str, folder: str) -> Plan:
    """How to load a folder. Raises `MissingDependencyError` if it is damaged or incomplete."""
    return graph_plan(OnnxVision, label, Path(folder))
