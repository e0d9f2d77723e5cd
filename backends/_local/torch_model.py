"""A causal language model in PyTorch: loaded with progress, answering a forward pass at a time."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .._core.backend import CONTEXT_CAP
from .._core.errors import MissingDependencyError, OutOfMemoryError
from .._core.sentence import Sentence
from .._core.types import ExpertRouting
from .chat_text import ChatText
from .decode import TextReader
from .machine import free_memory, has_native_bf16, physical_cores
from .memory_errors import HINT, memory_errors
from .placement import ACCELERATE, RESERVE, Placement
from .seam import Output
from .sessions import SessionCache, cache_bytes
from .weights import damaged

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

SMALL = 50e6
"""Parameters up to which a CPU computes as fast in float32, and on one core: cores that wait for
each other at every layer made a model of 4 million 7 times slower on two busy cores."""

KERNELS = 64
"""Kernels that oneDNN, which multiplies bfloat16 on a CPU for torch, keeps: each is machine code
for one shape, and a prompt of a length that was not seen before brings one for every shape of
layer. By themselves oneDNN keeps 1,024 and torch 1,024 more for every thread; with what they leave
unused between them that is half a megabyte each, never given back."""


def bound_kernels() -> None:
    """Say how many `KERNELS` are kept. It is asked for when the first one is made."""
    for cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(cache, str(KERNELS))


def gpus() -> tuple[int, ...]:
    """Bytes of each NVIDIA or AMD GPU that torch can use."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(torch.cuda.get_device_properties(n).total_memory for n in range(count))


def used_on_gpus() -> int:
    """Bytes of all GPUs that models of this process hold."""
    import torch

    return sum(torch.cuda.memory_allocated(n) for n in range(len(gpus())))


def device_for(placement: Placement | None, gpus: Sequence[int]) -> str:
    """The device a model is asked on: `cuda:0`, `mps`, `cpu`. One that fits nowhere is refused."""
    import torch

    if gpus and (placement is None or placement.where != "cpu"):
        return f"cuda:{gpus.index(max(gpus))}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(device: str, parameters: float) -> str:
    """The number format for a model of so many parameters, by its name in torch.

    bfloat16, as the Phi models were trained, where the hardware has it. A CPU without computes
    faster in float32, if that fits; float16 is no choice there: its prefill is many times slower.
    So does a small model on any CPU, and float32 needs no kernels for every length: see `KERNELS`.
    """
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device == "cpu" and (
        parameters < SMALL or (not has_native_bf16() and parameters * 4 < free_memory())
    ):
        return "float32"
    return "bfloat16"


def free_on(device: str) -> int:
    """Bytes free on a device now; what torch keeps in reserve counts as free."""
    if not device.startswith("cuda"):
        return free_memory()
    import torch

    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + reserve


def free_over(device: str, placement: Placement | None) -> int:
    """Bytes free for a model on a device, or on all those that a placement uses."""
    if placement is None:
        return free_on(device)
    return int(sum(_room(placement).values()))


def _room(placement: Placement) -> dict[int | str, float]:
    """Bytes for weights on each device that a placement uses, by Accelerate's names."""
    room: dict[int | str, float] = {
        n: max(0.0, free_on(f"cuda:{n}") - RESERVE) for n in range(placement.gpus)
    }
    return room if placement.where == "multi_gpu" else {**room, "cpu": free_memory() - RESERVE}


class TorchSession:
    """The cache of one conversation in a `TorchModel`; see `seam.Session`."""

    def __init__(self, model: "TorchModel", long: bool) -> None:
        from transformers import DynamicCache

        self._model, self._long = model, long
        self._cache: DynamicCache | None = DynamicCache(config=model.model.config)

    def feed(self, tokens: "Sequence[int] | torch.Tensor", in_prompt: bool = True) -> Output:
        """Read some more tokens, or vectors (tokens, hidden size) in their place."""
        assert self._cache is not None
        logits, routing = self._model.forward(tokens, self._cache, self._long, in_prompt=in_prompt)
        return Output(logits.float().cpu().numpy(), routing)

    def rewind(self, length: int) -> bool:
        """Forget all but the first `length` tokens; not where a sliding window forgot some."""
        assert self._cache is not None
        if self._model.forgets:
            return False
        self._cache.crop(length - self._cache.get_seq_length())
        return True

    def close(self) -> None:
        """Give its memory back."""
        self._cache = None


class TorchModel(TextReader):
    """A loaded model; see `seam.Loaded`."""

    supports_device_map: ClassVar[bool] = True
    """Whether its code runs when Accelerate lays it over several devices."""
    fuses_on_load: ClassVar[bool] = False
    """Whether its weights are put together anew while they are read, so that none stays mapped."""
    warnings: tuple[str, ...] = ()
    """What a reader of every answer must not overlook, in sentences."""

    def __init__(self, label: str, model: Any, text: ChatText) -> None:
        import torch

        self.label, self.model, self.text = label, model, text
        self.device = str(model.device)
        self.context: int = min(CONTEXT_CAP, model.config.max_position_embeddings)
        self.exact = model.dtype == torch.float32
        small = model.num_parameters() < SMALL
        self.threads = 1 if small else physical_cores()
        window: int | None = getattr(model.config, "sliding_window", None)  # Llama has none
        if window is not None and window >= self.context:
            # Never reached under the cap, and attention without one is cheaper. Phi-3-mini-4k's
            # window of 2,047 tokens is reached, so it stays: it is part of that model.
            model.config.sliding_window = window = None
        self.forgets = window is not None
        """Whether its attention reaches no further than a window, and its cache neither."""
        per_token = cache_bytes(model.config.to_dict(), 1, model.dtype.itemsize)
        self.sessions = SessionCache(
            lambda _, long: TorchSession(self, long), per_token, per_token * self.context
        )

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
        """Read a checkpoint. `report` gets the fraction of the weights that is in place.

        With a `placement` Accelerate lays the model out over several devices; it does not tell how
        far it is. Raises `MissingDependencyError` if that is not installed, or if the
        files are damaged, and `OutOfMemoryError`.
        """
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM
        from transformers.utils.logging import disable_progress_bar

        bound_kernels()
        disable_progress_bar()
        layout = cls._from_pretrained_kwargs(label, device, getattr(torch, dtype), placement)
        full = Sentence("The memory ran out while {label} was loaded.", label=label)
        with memory_errors(full):
            try:
                text = ChatText(folder)
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    folder,
                    use_safetensors=True,
                    local_files_only=True,
                    output_loading_info=True,
                    **layout,
                )
            except (OSError, ValueError, SafetensorError) as error:
                if "offload_folder" in str(error):  # Accelerate would put the rest on the disk
                    raise OutOfMemoryError(full, HINT) from error
                raise damaged(label, folder) from error
            model, info = loaded
            if info["missing_keys"]:  # they would be random numbers, and so would the answers
                raise damaged(label, folder)
            if "device_map" not in layout:
                _materialize_weights(model, device, getattr(torch, dtype), report)
        made = cls(label, model.eval(), text)
        if placement and (waiting := _waiting(model)):
            made.warnings = (Placement("cpu_offload", placement.gpus, waiting).description,)
        return made

    @classmethod
    def _from_pretrained_kwargs(
        cls, label: str, device: str, dtype: "torch.dtype", placement: Placement | None
    ) -> dict[str, Any]:
        """How `from_pretrained` brings the weights into memory."""
        whole = cls.fuses_on_load and device.startswith("cuda")
        if placement is None and not (whole and find_spec("accelerate")):
            # As they are in the file, and where they can be, only mapped:
            # `_materialize_weights` does the rest.
            return {"dtype": "auto"}
        if find_spec("accelerate") is None:
            raise MissingDependencyError(
                Sentence("{label} has to be laid over several devices here.", label=label),
                Sentence("Install with “{install}”.", install=ACCELERATE),
                install=ACCELERATE,
            )
        if placement is None:  # straight onto the device: main memory may be too small for it
            return {"dtype": dtype, "device_map": {"": device}}
        return {"dtype": dtype, "device_map": "auto", "max_memory": _room(placement)}

    def move_to(self, device: str) -> None:
        """Have its weights on another device; no conversation is kept over that."""
        self.close()
        self.model.to(device)
        self.device = str(self.model.device)

    def close(self) -> None:
        """Give its conversations' memory back; its own goes with the last reference."""
        self.sessions.close()

    def forward(
        self,
        tokens: "Sequence[int] | torch.Tensor",
        cache: "DynamicCache",
        long: bool,
        *,
        in_prompt: bool = True,
    ) -> "tuple[torch.Tensor, tuple[ExpertRouting, ...]]":
        """One forward pass over `tokens`, all of which join the cache.

        Returns the logits after the last of them (vocabulary,), and the routing of each.
        """
        import torch

        torch.set_num_threads(self.threads)  # partly one number for the whole process
        with torch.inference_mode(), self._factors(long):
            if isinstance(tokens, torch.Tensor):
                given = {"inputs_embeds": tokens[None]}
            else:
                given = {"input_ids": torch.tensor([tokens], device=self.model.device)}
            made = self.model(**given, past_key_values=cache, use_cache=True, logits_to_keep=1)
            return made.logits[0, -1], ()

    @contextmanager
    def _factors(self, long: bool) -> Generator[None, None, None]:
        """LongRoPE's long factors for all tokens, where the library would take the short ones."""
        rope: dict[str, Any] = self.model.config.rope_parameters
        if not long or "original_max_position_embeddings" not in rope:
            yield
            return
        _know_long_factors(self.model)
        switch = rope["original_max_position_embeddings"]
        rope["original_max_position_embeddings"] = 2  # the library compares lengths with it
        try:
            yield
        finally:
            rope["original_max_position_embeddings"] = switch


def _know_long_factors(model: Any) -> None:
    """Let the library compute the long factors before they are asked for.

    It does so when the first sequence beyond the original window comes, by reading the
    configuration again: turned as in `_factors`, it would keep the short ones under that name.
    """
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rotary = model.model.rotary_emb
    if getattr(rotary, "long_inv_freq", None) is None:
        beyond = model.config.rope_parameters["original_max_position_embeddings"] + 1
        factors, _ = ROPE_INIT_FUNCTIONS[rotary.rope_type](
            model.config, model.device, seq_len=beyond
        )
        rotary.long_inv_freq = factors


def _waiting(model: Any) -> int:
    """Bytes of the weights that Accelerate moves to a GPU when they are wanted."""
    return sum(weight.nbytes for weight in model.parameters() if weight.device.type == "meta")


def _materialize_weights(
    model: Any, device: str, dtype: "torch.dtype", report: Callable[[float], None]
) -> None:
    """Bring the weights to where they will be used, as what they will be used.

    A checkpoint is only mapped into memory when it is opened, and would be read from the disk
    during the first answer, and again whenever the system is short of memory.
    """
    weights = list(model.parameters())
    total, done = sum(weight.nbytes for weight in weights), 0
    for weight in weights:
        done += weight.nbytes
        weight.data = weight.data.to(device, dtype, copy=True)
        report(done / total)
    model.to(device)  # the buffers, in the precision they have
