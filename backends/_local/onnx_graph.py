"""A checkpoint with graphs for plain ONNX Runtime beside its weights, behind the seam.

`tools.pocket.export_graphs` writes such graphs. They hold no weights: ONNX Runtime reads those of
`model.safetensors`, bfloat16, and computes with them in float32.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core.backend import CONTEXT_CAP
from .._core.errors import MissingDependencyError
from .._core.sentence import Sentence
from .chat_text import ChatText
from .decode import TextReader
from .machine import free_memory
from .seam import Output, Plan
from .sessions import SessionCache, cache_bytes
from .weights import damaged

if TYPE_CHECKING:
    import numpy as np

Arrays = dict[str, "np.ndarray[Any, Any]"]
"""What goes into a graph or comes out of it, by name."""

_FLOAT = 4
"""Bytes of a number that is computed with; in the file it takes two."""
OLDEST = (1, 31)
"""The oldest version of ONNX Runtime that these graphs were run with."""
_OVERHEAD = 150e6
"""Bytes that the libraries and a forward pass take beside weights and cache."""


class GraphSession:
    """The cache of one conversation in a `GraphModel`; see `seam.Session`.

    The graph writes each layer's keys and values in place, and reads those of the first `_length`
    tokens: to forget the others nothing has to be done.
    """

    def __init__(self, model: "GraphModel", room: int) -> None:
        import numpy as np

        new_buffer = _library().OrtValue.ortvalue_from_numpy
        self._model, self._length = model, 0
        self._binding: Any = model.decoder.io_binding()
        for name in model.made:  # first, so that they come first out of it
            self._binding.bind_output(name)
        for port in model.buffers:
            _, heads, _, size = port.shape
            buffer = new_buffer(np.zeros((1, heads, room, size), np.float32))
            self._binding.bind_ortvalue_input(port.name, buffer)
            self._binding.bind_ortvalue_output(port.name.replace("past", "present", 1), buffer)

    def feed(self, tokens: Any, in_prompt: bool = True) -> Output:
        """Read some more tokens, or vectors (tokens, hidden size) in their place."""
        import numpy as np

        model, binding = self._model, self._binding
        assert binding is not None
        self._length += len(tokens)
        given = model.given(tokens) | {"total": np.array(self._length, np.int32)}
        for name, value in given.items():
            binding.bind_cpu_input(name, value)
        for name in model.made:  # or it would want the shape that it had the last time
            binding.bind_output(name)
        model.decoder.run_with_iobinding(binding)
        values = binding.get_outputs()[: len(model.made)]
        made = {name: value.numpy() for name, value in zip(model.made, values, strict=True)}
        return model.output(tokens, made, in_prompt)

    def rewind(self, length: int) -> bool:
        """Forget all but the first `length` tokens."""
        self._length = length
        return True

    def close(self) -> None:
        """Give its memory back."""
        self._binding = None


class GraphModel(TextReader):
    """A loaded checkpoint with the graph `decoder.onnx`; see `seam.Loaded`."""

    device = "cpu"
    threads = 1
    exact = True
    """Logits of a prompt in one feed and in several differ by 1e-5 (tried with 1.31.1)."""
    warnings: tuple[str, ...] = ()

    def __init__(self, label: str, folder: Path, config: dict[str, Any]) -> None:
        self.label, self.text = label, ChatText(folder)
        self.context = context_of(config)
        self.decoder = open_graph(folder / "decoder.onnx")
        ports: list[Any] = self.decoder.get_inputs()
        self.buffers = [port for port in ports if port.name.startswith("past.")]
        """Keys and values of each layer: (1, heads, room, head size)."""
        names: list[str] = [port.name for port in self.decoder.get_outputs()]
        self.made = [name for name in names if not name.startswith("present.")]
        """Names of what the decoder makes beside them: `logits`, in some more."""
        size = cache_bytes(config, 1, _FLOAT)
        self.sessions = SessionCache(
            lambda room, _: GraphSession(self, room), size, self.context * size
        )

    def given(self, tokens: Any) -> Arrays:
        """What the decoder is given for some tokens."""
        import numpy as np

        return {"tokens": np.array(tokens, np.int64)}

    def output(self, tokens: Any, made: Arrays, in_prompt: bool) -> Output:
        """What it made of them."""
        return Output(made["logits"])

    def close(self) -> None:
        """Give the memory of its conversations back; its own goes with the last reference."""
        self.sessions.close()


def open_graph(file: Path) -> Any:
    """A graph, ready to run: on one thread, for cores that wait for each other are slower."""
    runtime = _library()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def context_of(config: dict[str, Any]) -> int:
    """The most tokens of a conversation, prompt and answer."""
    return min(CONTEXT_CAP, int(config["max_position_embeddings"]))


def graph_plan(
    kind: Callable[[str, Path, dict[str, Any]], GraphModel], label: str, folder: Path
) -> Plan:
    """How to load a checkpoint as a kind of model.

    Raises `MissingDependencyError` if it is damaged or incomplete.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        weights = (folder / "model.safetensors").stat().st_size * 2  # bfloat16 becomes float32
        cache = cache_bytes(config, context_of(config), _FLOAT)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(label, folder) from error

    def load(report: Callable[[float], None]) -> GraphModel:
        _check_version(label)
        try:
            loaded = kind(label, folder, config)
        except Exception as error:  # the library has a kind of its own for each that can happen
            raise damaged(label, folder) from error
        report(1.0)
        return loaded

    return Plan("cpu", int(weights + cache + _OVERHEAD), cache, free_memory, load)


def _library() -> Any:
    """The library: a compiled module without types."""
    import onnxruntime

    return onnxruntime


def _check_version(label: str) -> None:
    """Raise `MissingDependencyError` if the library is older than those that were tried.

    1.23.2, the last one for Intel Macs, writes elsewhere than into the buffers it is given.
    """
    version = tuple(map(int, _library().__version__.split(".")[:2]))
    if version < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise MissingDependencyError(
            Sentence("{label} needs ONNX Runtime {needed} or newer.", label=label, needed=needed),
            "There is none for Intel Macs; elsewhere install requirements.txt again.",
        )
