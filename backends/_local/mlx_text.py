"""A text model in Apple's MLX, behind the seam: an MLX build, or a plain checkpoint."""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from math import prod
from mmap import mmap
from pathlib import Path
from typing import Any, TypeGuard, cast

from .._core.backend import CONTEXT_CAP
from .._core.errors import MissingDependencyError
from .._core.sentence import Sentence
from . import weights
from .chat_text import ChatText
from .machine import free_memory, release_memory
from .memory_errors import memory_errors, tells_of_memory
from .seam import Output, Plan
from .sessions import cache_bytes, check_room
from .text_model import USUAL_TOKENS, TextModel
from .weights import damaged, safetensors_header

SMALL = 50e6
"""Parameters up to which a model is computed in float32 everywhere: it costs little, and tiny ones
need it."""
WORKSPACE = 1_000_000_000
"""Bytes that a mini model takes beside its weights for an answer of usual length: an estimate, of
its cache in 16 bits (0.6 GB of Phi-3.5-mini's) and what a forward pass works in."""
_OVERHEAD = 400e6
"""Bytes that the libraries take (370 MB were measured beside SmolLM2-135M): mlx-lm imports
Transformers, and with it PyTorch where it is installed."""
_STEP = 256
"""Tokens by which mlx-lm's `KVCache` grows."""
_WIDTHS = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
"""Bytes of each kind of fraction in a safetensors file."""
_INTEGERS = {
    "U8": 1,
    "I8": 1,
    "BOOL": 1,
    "U16": 2,
    "I16": 2,
    "U32": 4,
    "I32": 4,
    "U64": 8,
    "I64": 8,
}
_NO_WINDOW = ("phi3", "phimoe")
"""Kinds of models whose sliding window mlx-lm leaves out (0.32.2, `models/phi3.py`)."""


class MlxSession:
    """A prompt cache of mlx-lm; see `seam.Session`."""

    def __init__(self, model: Any, make_room: Callable[[int], None], facts: "Facts") -> None:
        self._model = model
        self._cache: Any = _package("mlx_lm.models.cache").make_prompt_cache(model)
        self._make_room = make_room
        self._facts = facts
        self._length = self._held = 0
        """Tokens that were read, and that it has memory for."""

    def feed(self, tokens: Any, in_prompt: bool = True) -> Output:
        """Read some more tokens."""
        import numpy as np

        mx = _package("mlx.core")
        grew = self._grow(len(tokens))
        logits = self._model(mx.array(tokens)[None], cache=self._cache)[0, -1]
        # NumPy has no bfloat16.
        output = Output(np.array(logits.astype(mx.float32)))
        self._length += len(tokens)
        if in_prompt or grew:  # MLX keeps what it gave back, and the next pass is of another shape
            mx.clear_cache()
        return output

    def _grow(self, new: int) -> bool:
        """Ask for the memory of a forward pass of `new` tokens. Raises `MemoryError`.

        Returns whether the cache is larger after it.
        """
        length, facts = self._length + new, self._facts
        need = new * facts.bytes_of_a_pass + new * length * facts.bytes_per_score
        if grows := length > self._held:
            self._held = self._length + -(-new // _STEP) * _STEP
            need += self._held * facts.bytes_per_token
        self._make_room(need)
        return grows

    def rewind(self, length: int) -> bool:
        """Forget all but the first `length` tokens. A window of some models cannot."""
        forgotten = self._length - length
        trimmed = _package("mlx_lm.models.cache").trim_prompt_cache(self._cache, forgotten)
        if trimmed != forgotten:
            return False
        self._length = length
        return True

    def close(self) -> None:
        """Give its memory back."""
        self._cache = None
        _package("mlx.core").clear_cache()


class MlxText(TextModel):
    """A loaded model of mlx-lm; see `seam.Loaded`."""

    def __init__(self, label: str, model: Any, text: ChatText, facts: "Facts", device: str) -> None:
        super().__init__(label, text, device, 1, facts.context, facts.bytes_per_token)
        # The same to the last bit in float32 on a processor (tried with 0.32.4).
        self.exact = facts.is_wide
        self._model: Any = model
        self._facts = facts

    def _open(self, room: int) -> MlxSession:
        """A session for so many tokens. Raises `OutOfMemoryError`."""
        check_room(room, room * self._bytes_per_token, free_memory())
        return MlxSession(self._model, self._make_room, self._facts)

    def _make_room(self, size: int) -> None:
        """See that a forward pass gets so many bytes. Raises `MemoryError`.

        On a processor MLX writes to memory that it did not get, and the process crashes.
        """
        if self.device != "cpu" or _can_map(size):
            return
        self.sessions.close()
        release_memory()
        if not _can_map(size):
            raise MemoryError

    def close(self) -> None:
        """Give its memory back."""
        super().close()
        self._model = None
        _package("mlx.core").clear_cache()


class Facts:
    """What the files of a folder say of a model, and how it is computed on a device.

    Raises `OSError`, `ValueError`, `KeyError` or `TypeError` for what is no whole checkpoint.
    """

    def __init__(self, folder: Path, device: str = "cpu", context: int | None = None) -> None:
        config = read_config(folder)
        self.changes = config_changes(config)
        """What mlx-lm is told in place of what `config.json` says."""
        longest = int(config["max_position_embeddings"])
        if config["model_type"] in _NO_WINDOW:
            longest = min(longest, config.get("sliding_window") or longest)
        if has_long_factors(scaling := self.changes.get("rope_scaling")):
            places = (scaling, config)
            found = [one.get("original_max_position_embeddings") for one in places]
            longest = min([longest, *filter(None, found)])
        self.context: int = min(context or CONTEXT_CAP, CONTEXT_CAP, longest)
        tensors = [one for file in _files(folder) for one in _tensors(file)]
        parameters = sum(prod(one["shape"]) for one in tensors)
        # On a processor the 16-bit kernels take up to 30 times as long (quantised, 0.32.4).
        self.is_wide = device == "cpu" or parameters < SMALL
        """Whether it is computed in float32, whatever its files hold."""
        self.weights = sum(_size(one, self.is_wide) for one in tensors)
        """Bytes of its weights in memory."""
        width = 4 if self.is_wide else 2
        self.bytes_per_token = cache_bytes(config, 1, width)
        """Of a session's keys and values."""
        inner = 4 * config["hidden_size"] + 3 * config["intermediate_size"]
        self.bytes_of_a_pass = width * (inner + 2 * config["vocab_size"])
        """Bytes that each token takes while it is read, about."""
        self.bytes_per_score = 2 * width * config["num_attention_heads"]
        """The same for each token that it looks back at."""


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's `config.json`. Raises `OSError` or `ValueError`."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if not isinstance(config, dict):
        raise ValueError("config.json holds no settings")
    return cast("dict[str, Any]", config)


def config_changes(config: Mapping[str, Any]) -> dict[str, Any]:
    """What mlx-lm must be told so that it turns positions as Transformers does, up to 4,096 tokens.

    Transformers 5 writes `rope_parameters`, of which mlx-lm 0.32 knows nothing in most models. And
    it takes LongRoPE's long factors at every length (`SuScaledRoPE` in its `models/rope_utils.py`),
    where the Phi models were trained with the short ones up to 4,096 tokens.
    """
    changes: dict[str, Any] = {}
    rope = config.get("rope_parameters")
    if isinstance(rope, dict) and "rope_type" in rope:
        rope = cast("dict[str, Any]", rope)
        names = ("rope_theta", "partial_rotary_factor")
        changes = {name: rope[name] for name in names if name in rope}
        if rope["rope_type"] != "default":
            changes["rope_scaling"] = {**rope, "type": rope["rope_type"]}
    scaling = changes.get("rope_scaling") or config.get("rope_scaling")
    if has_long_factors(scaling):
        scaling = {**scaling, "long_factor": scaling["short_factor"]}
        if "short_mscale" in scaling:
            scaling["long_mscale"] = scaling["short_mscale"]
        changes["rope_scaling"] = scaling
    return changes


def has_long_factors(scaling: Any) -> TypeGuard[dict[str, Any]]:
    """Whether settings of positions are LongRoPE's, with factors for short and long texts."""
    return isinstance(scaling, dict) and {"short_factor", "long_factor"} <= scaling.keys()


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a text model as MLX reads it: an MLX build, or a plain checkpoint.

    Weights that another engine has quantised are none, nor is a model with eyes.
    """
    try:
        config = read_config(folder)
    except (OSError, ValueError):
        return False
    foreign = "quantization_config" in config and "quantization" not in config
    sees = not {"vision_config", "img_processor"}.isdisjoint(config)
    return (
        "model_type" in config
        and not foreign
        and not sees
        and weights.is_complete(folder)
        and (folder / "tokenizer.json").is_file()
        and bool(_files(folder))
    )


def plan(label: str, folder: str, context: int | None = None) -> Plan:
    """How to load a folder. Raises `MissingDependencyError` if it is damaged or incomplete."""
    path = Path(folder)
    mx = _package("mlx.core")
    device = str(mx.default_device().type).rpartition(".")[2]
    try:
        facts = Facts(path, device, context)
    except (OSError, ValueError) as error:
        raise damaged(label, path) from error
    except (KeyError, TypeError) as error:
        raise _unknown(label) from error
    cache = min(facts.context, USUAL_TOKENS) * facts.bytes_per_token
    return Plan(
        # An Apple GPU computes in main memory: its models and those of a processor share it.
        device="cpu",
        need=int(facts.weights + cache + _OVERHEAD),
        per_answer=cache,
        free=lambda: _free(device),
        load=lambda report: _load(path, label, facts, device, report),
    )


def _load(
    folder: Path, label: str, facts: Facts, device: str, report: Callable[[float], None]
) -> MlxText:
    mx, tree_flatten = _package("mlx.core"), _package("mlx.utils").tree_flatten
    utils = _package("mlx_lm.utils")
    with memory_errors(Sentence("The memory ran out while {label} was loaded.", label=label)):
        try:
            text = ChatText(folder)
        except (OSError, ValueError) as error:
            if "no chat template" in str(error):
                raise MissingDependencyError(
                    Sentence("{label} has no chat template, so nothing can be asked.", label=label),
                    "Put its chat_template.jinja beside its tokenizer.json.",
                ) from error
            raise damaged(label, folder) from error
        try:
            model, _ = utils.load_model(folder, lazy=True, model_config=facts.changes)
            if facts.is_wide:
                model.set_dtype(mx.float32)
        except Exception as error:  # by each of its models another
            if tells_of_memory(str(error)):
                raise
            if "not supported" in str(error) or "custom module" in str(error):
                raise _unknown(label) from error
            raise _not_laid_out(label) from error
        if device != "cpu":
            # As mlx-lm does while it generates: what is in use stays in memory.
            utils.maybe_set_recommended_wired_limit()
        arrays = [array for _, array in tree_flatten(model.parameters())]
        done, total = 0, sum(array.nbytes for array in arrays)
        while arrays:
            array = arrays.pop()
            mx.eval(array)
            done += array.nbytes
            report(done / total)
        mx.clear_cache()
        return MlxText(label, model, text, facts, device)


def _free(device: str) -> int:
    """Bytes that are free: on an Apple GPU no more than it may use of the main memory."""
    free = free_memory()
    if device == "cpu":
        return free
    mx = _package("mlx.core")
    most = mx.device_info().get("max_recommended_working_set_size", free)
    return min(free, most - mx.get_active_memory())


def _can_map(size: int) -> bool:
    """Whether the system would hand out so many bytes."""
    try:
        mmap(-1, max(1, size)).close()
    except OSError:
        return False
    return True


def _files(folder: Path) -> list[Path]:
    """The files of weights that mlx-lm reads."""
    return sorted(folder.glob("model*.safetensors"))


def _tensors(file: Path) -> list[dict[str, Any]]:
    """The tensors of a file. Raises `ValueError` if its end is missing."""
    start, tensors = safetensors_header(file)
    end = max((one["data_offsets"][1] for one in tensors.values()), default=0)
    if start + end > file.stat().st_size:
        raise ValueError(f"not whole: {file.name}")
    return [*tensors.values()]


def _size(tensor: Mapping[str, Any], wide: bool) -> int:
    """Bytes of a tensor in memory."""
    kind, count = tensor["dtype"], prod(tensor["shape"])
    if kind in _WIDTHS:
        return count * (4 if wide else _WIDTHS[kind])
    return count * _INTEGERS[kind]


def _package(name: str) -> Any:
    """A module of MLX, without types. Raises `MissingDependencyError` if it cannot be loaded."""
    try:
        return import_module(name)
    except ImportError as error:  # on Linux, `mlx` without `mlx-cpu` is half of it
        raise MissingDependencyError(
            "MLX cannot be loaded on this computer.",
            "It is for Macs with Apple's chips and macOS 14 or newer. Choose another backend.",
        ) from error


def _unknown(label: str) -> MissingDependencyError:
    return MissingDependencyError(
        Sentence("{label} is no text model that this mlx-lm knows.", label=label),
        "Choose another model.",
    )


def _not_laid_out(label: str) -> MissingDependencyError:
    return MissingDependencyError(
        Sentence(
            "The weights of {label} are not what mlx-lm takes for this kind of model.", label=label
        ),
        "Take a build that is made for MLX, or choose another backend.",
    )
