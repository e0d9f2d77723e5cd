"""A text model in OpenVINO, behind the seam: the stateful form that Optimum Intel exports.

OpenVINO's own pipeline, `openvino_genai`, hides the logits, so the model is run by `openvino`: its
inputs are tokens, what is attended to, positions and which conversation goes on; keys and values
are states of a request. Options and states: docs.openvino.ai, tried with 2026.4.1.
"""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from .._core.backend import CONTEXT_CAP
from .._core.errors import BackendError, MissingDependencyError
from .._core.sentence import Sentence
from .chat_text import ChatText
from .machine import free_memory
from .memory_errors import memory_errors
from .seam import Output, Plan
from .sessions import cache_bytes, check_room
from .text_model import USUAL_TOKENS, TextModel, threads_for
from .weights import damaged

MODEL = "openvino_model.xml"
WEIGHTS = "openvino_model.bin"
OWN_TOKENIZER = "openvino_tokenizer.xml"
"""A tokenizer as a model for OpenVINO's own pipeline, which is not read here."""
_FILES = (MODEL, WEIGHTS, "config.json")

WORKSPACE = 1_400_000_000
"""Bytes that a mini model takes beside its weights for an answer of usual length. An estimate from
its shape: 1.2 GB for the keys and values of 1,536 tokens, and `_OVERHEAD`."""
_OVERHEAD = 200e6
"""Bytes that the library and a forward pass take beside weights and cache (SmolLM2-135M: 60 MB for
the library, 72 to 121 for 256 tokens)."""
_CACHE_WIDTH = 4
"""Bytes for each number in keys and values: they are in float16, and whenever they grow beyond
their buffer the next one has room for twice as many (seen: 72 MB for 35 MB of SmolLM2-135M's)."""


class OpenVinoSession:
    """A request of a compiled model, with the states of one conversation; see `seam.Session`."""

    def __init__(self, request: Any, inputs: set[str], axes: Mapping[str, int]) -> None:
        self._request = request
        self._inputs, self._axes = inputs, axes
        self._length = 0

    def feed(self, tokens: Any, in_prompt: bool = True) -> Output:
        """Read some more tokens."""
        import numpy as np

        assert self._request is not None
        total = self._length + len(tokens)
        given = {
            "input_ids": np.array([tokens], np.int64),
            "attention_mask": np.ones((1, total), np.int64),
            "position_ids": np.arange(self._length, total, dtype=np.int64)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        # What goes wrong is raised by `wait` only: `infer` would leave no or old logits.
        self._request.start_async({name: given[name] for name in self._inputs})
        self._request.wait()
        self._length = total
        logits = np.asarray(self._request.get_tensor("logits").data)
        return Output(logits.reshape(-1, logits.shape[-1])[-1].astype(np.float32))

    def rewind(self, length: int) -> bool:
        """Forget all but the first `length` tokens."""
        import numpy as np

        assert self._request is not None
        self._length = length
        if not length:
            self._request.reset_state()
            return True
        new_tensor = _library().Tensor
        for state in self._request.query_state():
            every = np.asarray(state.state.data)
            kept = every.take(range(length), self._axes[state.name])
            state.state = new_tensor(np.ascontiguousarray(kept))
        return True

    def close(self) -> None:
        """Give its memory back."""
        self._request = None


class OpenVinoText(TextModel):
    """A compiled model; see `seam.Loaded`."""

    exact = False
    """Logits of a prompt in one feed and in several differ by 0.8 of 35 with 4-bit weights: what is
    multiplied with them is rounded to 8. (SmolLM2-135M; in float32 by 0.06: keys and values are in
    float16.)"""

    def __init__(
        self, label: str, compiled: Any, text: ChatText, facts: "Facts", axes: Mapping[str, int]
    ) -> None:
        device = facts.device.lower()
        super().__init__(label, text, device, facts.threads, facts.context, facts.bytes_per_token)
        self._compiled: Any = compiled
        self._inputs: set[str] = {port.any_name for port in compiled.inputs}
        self._axes = axes

    def _open(self, room: int) -> OpenVinoSession:
        """A session that may grow to so many tokens. Raises `OutOfMemoryError`."""
        check_room(room, room * self._bytes_per_token, free_memory())
        return OpenVinoSession(self._compiled.create_infer_request(), self._inputs, self._axes)

    def close(self) -> None:
        """Give its memory back."""
        super().close()
        self._compiled = None


class Facts:
    """What the files of a model say of it, and how it is computed.

    Raises `OSError`, `ValueError`, `KeyError`, `TypeError` or `AttributeError`.
    """

    def __init__(self, folder: Path, context: int | None, device: str) -> None:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        longest = int(config["max_position_embeddings"])
        self.context: int = min(context or CONTEXT_CAP, CONTEXT_CAP, longest)
        self.weights = (folder / WEIGHTS).stat().st_size
        """Bytes of its weights."""
        self.bytes_per_token = cache_bytes(config, 1, _CACHE_WIDTH)
        self.device = device
        self.threads = threads_for(self.weights)

    @property
    def options(self) -> dict[str, Any]:
        """How OpenVINO computes it.

        On a processor in float32, which is what it takes by itself unless there are instructions
        for less: one text everywhere. Keys and values in float16: they change logits by 0.06 of 35
        in SmolLM2-135M, the library's 8 bits by 1.2, which changes words, and float32 takes twice
        the memory. Threads are not tied to cores: there they would wait for another model's.
        """
        chosen: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.device == "CPU":
            chosen |= {
                "INFERENCE_NUM_THREADS": self.threads,
                "ENABLE_CPU_PINNING": False,
                "INFERENCE_PRECISION_HINT": "f32",
                "KV_CACHE_PRECISION": "f16",
            }
        return chosen


def is_complete(folder: Path) -> bool:
    """Whether a model, its settings and some tokenizer are there."""
    tokenizers = ("tokenizer.json", OWN_TOKENIZER)
    return all((folder / name).is_file() for name in _FILES) and any(
        (folder / name).is_file() for name in tokenizers
    )


def plan(label: str, folder: str, context: int | None = None, device: str = "CPU") -> Plan:
    """How to load a folder, by one of OpenVINO's devices.

    A GPU's memory is not looked at: as much of the main memory is asked for, which is what most of
    Intel's use. Raises `MissingDependencyError` if it is damaged or incomplete.
    """
    path = Path(folder)
    if not (path / "tokenizer.json").is_file() and (path / OWN_TOKENIZER).is_file():
        raise no_tokenizer(label)
    try:
        facts = Facts(path, context, device)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(label, path) from error
    cache = min(facts.context, USUAL_TOKENS) * facts.bytes_per_token
    return Plan(
        device=device.lower(),
        need=int(facts.weights + cache + _OVERHEAD),
        per_answer=cache,
        free=free_memory,
        load=lambda report: _load(path, label, facts, report),
    )


def no_tokenizer(label: str) -> MissingDependencyError:
    """The error of a folder whose only tokenizer is one for OpenVINO's own pipeline."""
    return MissingDependencyError(
        Sentence("{label} has no tokenizer.json, so nothing can be asked.", label=label),
        "Put the tokenizer.json and tokenizer_config.json of the original model beside it.",
    )


def _load(folder: Path, label: str, facts: Facts, report: Callable[[float], None]) -> OpenVinoText:
    try:
        text = ChatText(folder)
        with memory_errors(Sentence("The memory ran out while {label} was loaded.", label=label)):
            core = _library().Core()
            model = core.read_model(folder / MODEL, folder / WEIGHTS)
            axes = _token_axes(label, model)
            _only_last(model)
    except BackendError:
        raise
    except Exception as error:  # the library raises plain RuntimeError
        raise _unreadable(label, folder, str(error)) from error
    report(0.2)  # to compile it takes longer, and nothing is told meanwhile
    try:
        with memory_errors(Sentence("The memory ran out while {label} was loaded.", label=label)):
            compiled = core.compile_model(model, facts.device, facts.options)
    except BackendError:
        raise
    except Exception as error:
        if facts.device == "CPU":
            raise damaged(label, folder) from error
        raise _device_failed(label, facts.device, error) from error
    report(1.0)
    return OpenVinoText(label, compiled, text, facts, axes)


def _token_axes(label: str, model: Any) -> dict[str, int]:
    """The axis of tokens in each state: the one, beside that of conversations, of any length.

    Raises `MissingDependencyError` if it is no stateful model of text.
    """
    axes: dict[str, int] = {}
    for variable in model.get_variables():
        shape = variable.info.data_shape
        free = [n for n in range(1, len(shape)) if shape[n].is_dynamic]
        if len(free) == 1:
            axes[variable.info.variable_id] = free[0]
    inputs = {name for port in model.inputs for name in port.names}
    known = {"input_ids", "attention_mask", "position_ids", "beam_idx"}
    readable = "input_ids" in inputs and len(model.inputs) == len(inputs & known)
    writes = any("logits" in port.names for port in model.outputs)
    if not (readable and writes and axes and len(axes) == len(model.get_variables())):
        raise MissingDependencyError(
            Sentence(
                "{label} is no text model that keeps its own cache, as OpenVINO calls stateful.",
                label=label,
            ),
            "Export it with “optimum-cli export openvino --task text-generation-with-past”.",
        )
    return axes


def _only_last(model: Any) -> None:
    """Have logits made after the last token only: of 256 tokens they take 200 MB in Phi-4-mini."""
    import numpy as np

    ops: Any = import_module("openvino.opset13")
    node = model.output("logits").get_node().input_value(0).get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    hidden = node.input_value(0)
    if node.get_type_name() != "MatMul" or len(hidden.get_partial_shape()) != 3:
        return
    last = ops.gather(hidden, np.array([-1], np.int64), np.int64(1))
    node.input(0).replace_source_output(last.output(0))
    model.validate_nodes_and_infer_types()


def _library() -> Any:
    """The library. (`import openvino` means the same; type checkers take it for our own module.)"""
    return import_module("openvino")


def _unreadable(label: str, folder: Path, said: str) -> MissingDependencyError:
    """The error of a folder that cannot be loaded, by what was said."""
    if "chat template" in said:
        what = Sentence(
            "{label} has no chat template that can be read, so nothing can be asked.", label=label
        )
        hint = "Put its chat_template.jinja beside its tokenizer.json."
        return MissingDependencyError(what, hint)
    return damaged(label, folder)


def _device_failed(label: str, device: str, error: Exception) -> MissingDependencyError:
    """The error of a device that does not take a model: the computer's own, not the model's."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((one for one in lines if not one.startswith("Exception from")), device)
    return MissingDependencyError(
        Sentence(
            "OpenVINO cannot run {label} on {device} on this computer: {said}.",
            label=label,
            device=device,
            said=said.rstrip("."),
        ),
        "Look at its driver, or choose the same model for the processor.",
        device=device,
    )
