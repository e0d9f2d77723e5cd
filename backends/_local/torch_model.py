"""A causal language model in PyTorch: loaded with progress, answering a forward pass at a time."""

import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from .._core.backend import CONTEXT_CAP
from .._core.errors import ContextLengthError, MissingDependencyError, OutOfMemoryError
from .._core.types import (
    Chunk,
    ExpertRouting,
    FinishReason,
    GenerationParams,
    Message,
    Progress,
    Timings,
    Usage,
)
from .._core.unicode import clean
from .chat_text import (
    DEFAULT_PARAMS,
    STOP_TOKENS,
    Detokenizer,
    StopStrings,
    escape_control_tokens,
    to_template_messages,
)
from .engine import Step, Steps
from .machine import free_memory, has_native_bf16, physical_cores
from .placement import ACCELERATE, RESERVE, Placement
from .sampling import make_sampler

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import DynamicCache

PREFILL_CHUNK = 256
"""Tokens of the prompt per forward pass: as long as Stop and the other side wait at most."""

SMALL = 50e6
"""Parameters up to which a CPU computes as fast in float32, and on one core: cores that wait for
each other at every layer made a model of 4 million 7 times slower on two busy cores."""

KERNELS = 64
"""Kernels that oneDNN, which multiplies bfloat16 on a CPU for torch, keeps: each is machine code
for one shape, and a prompt of a length that was not seen before brings one for every shape of
layer. By themselves oneDNN keeps 1,024 and torch 1,024 more for every thread, which is every
engine; with what they leave unused between them that is half a megabyte each, never given back."""

_MEMORY_HINT = "Try a shorter prompt, a smaller model, or closing other programs."

_PROBE = "3f9c"
"""A text that no template has of its own."""


def bound_kernels() -> None:
    """Say how many `KERNELS` are kept. It is asked for when the first one is made."""
    for cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(cache, str(KERNELS))


def gpus() -> tuple[int, ...]:
    """Bytes of each NVIDIA or AMD GPU that torch can use."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(torch.cuda.get_device_properties(n).total_memory for n in range(count))


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


def cache_bytes(config: Mapping[str, Any], tokens: int, width: int) -> int:
    """Bytes that keys and values of so many tokens take, each number in `width` bytes."""
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    kept = config.get("num_key_value_heads") or heads
    return 2 * config["num_hidden_layers"] * kept * size * tokens * width


@dataclass(frozen=True)
class Prompt:
    """A conversation as a model reads it."""

    tokens: "Sequence[int] | torch.Tensor"
    """Their numbers; or, where pictures are among them, their vectors: (tokens, hidden size)."""
    context: int
    """The most tokens that they and the answer may be."""
    long: bool = False
    """Whether it is read with LongRoPE's long factors, from its first token on."""
    notes: tuple[str, ...] = ()
    """What a reader of the answer should know about it, in a few words."""


class ForwardOutput(NamedTuple):
    """What a forward pass made of some tokens."""

    logits: "torch.Tensor"
    """After the last of them: (vocabulary,)."""
    routing: tuple[ExpertRouting, ...] = ()
    """Of each of them, if the model is a mixture of experts."""


class TorchModel:
    """A loaded model. Everything happens on its engine's thread."""

    supports_device_map: ClassVar[bool] = True
    """Whether its code runs when Accelerate lays it over several devices."""
    fuses_on_load: ClassVar[bool] = False
    """Whether its weights are put together anew while they are read, so that none stays mapped."""
    warnings: tuple[str, ...] = ()
    """What a reader of every answer must not overlook, in sentences."""

    def __init__(self, label: str, model: Any, tokenizer: Any) -> None:
        self._label = label
        self._model = model
        self._template = tokenizer
        self._tokenizer: Tokenizer = tokenizer.backend_tokenizer
        self._context: int = min(CONTEXT_CAP, model.config.max_position_embeddings)
        small = model.num_parameters() < SMALL
        self._threads = 1 if small else physical_cores()
        # Longest first: one may begin like another. What is a single letter stays one.
        added = (token for token in tokenizer.get_added_vocab() if len(token) > 1)
        self._controls = sorted(added, key=len, reverse=True)
        self._stop_tokens = _stop_tokens(model, tokenizer)
        self._system_slot = self._has_system_slot()
        window: int | None = model.config.sliding_window
        if window is not None and window >= self._context:
            # Never reached under the cap, and attention without one is cheaper. Phi-3-mini-4k's
            # window of 2,047 tokens is reached, so it stays: it is part of that model.
            model.config.sliding_window = None

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
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        bound_kernels()
        disable_progress_bar()
        layout = cls._from_pretrained_kwargs(label, device, getattr(torch, dtype), placement)
        full = f"The memory ran out while {label} was loaded."
        with _memory_errors(full):
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    folder,
                    use_safetensors=True,
                    local_files_only=True,
                    output_loading_info=True,
                    **layout,
                )
            except (OSError, ValueError, SafetensorError) as error:
                if "offload_folder" in str(error):  # Accelerate would put the rest on the disk
                    raise OutOfMemoryError(full, _MEMORY_HINT) from error
                raise damaged(label, folder) from error
            model, info = loaded
            if info["missing_keys"]:  # they would be random numbers, and so would the answers
                raise damaged(label, folder)
            if "device_map" not in layout:
                _materialize_weights(model, device, getattr(torch, dtype), report)
        made = cls(label, model.eval(), tokenizer)
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
                f"{label} has to be laid over several devices here.",
                f"Install with: {ACCELERATE}",
                install=ACCELERATE,
            )
        if placement is None:  # straight onto the device: main memory may be too small for it
            return {"dtype": dtype, "device_map": {"": device}}
        return {"dtype": dtype, "device_map": "auto", "max_memory": _room(placement)}

    def answer(self, messages: Sequence[Message], params: GenerationParams) -> Steps:
        """Answer a conversation; each step is at most one forward pass."""
        with _memory_errors(f"The memory ran out while {self._label} answered."):
            yield from self._answer(messages, params)

    def _answer(self, messages: Sequence[Message], params: GenerationParams) -> Steps:
        with ExitStack() as held:
            prompt = yield from self.read(messages, params, held)
            yield from self._continue(prompt, params)

    def _continue(self, prompt: Prompt, params: GenerationParams) -> Steps:
        """Prefill a prompt in chunks, then decode token by token."""
        from transformers import DynamicCache

        length = len(prompt.tokens)
        most = min(most_tokens(params), prompt.context - length)
        choose = make_sampler(params)
        writer = _Writer(self._tokenizer, self._stop_tokens, params.stop)
        cache = DynamicCache(config=self._model.config)
        yield Progress("prefill", 0.0)

        prefill = decode = 0.0  # seconds of the device's time, not of the waits in between
        token, routing = 0, ()
        for start in range(0, length, PREFILL_CHUNK):
            resumed = time.monotonic()
            end = min(start + PREFILL_CHUNK, length)
            logits, routing = self._forward(prompt.tokens[start:end], cache, prompt.long)
            if end == length:
                token = choose(logits)
            else:
                logits[0].item()  # waits for a GPU, or the chunks would pile up there
            prefill += time.monotonic() - resumed
            if end < length:
                if routing:
                    yield Chunk(routing=routing)
                yield Progress("prefill", end / length)

        device, notes, warnings = str(self._model.device), prompt.notes, self.warnings
        for n in range(1, most + 1):
            text, finish = writer.push(token)
            if finish is None and n < most:
                where = Timings(device=device) if n == 1 else None
                yield Chunk(text, 1, time.monotonic(), None, None, where, routing, notes, warnings)
                notes = warnings = ()
                resumed = time.monotonic()
                logits, routing = self._forward([token], cache, prompt.long, in_prompt=False)
                token = choose(logits)
                decode += time.monotonic() - resumed
                continue
            usage = Usage(length, n)
            timings = Timings(prefill=prefill, decode=decode, device=device)
            text += writer.flush()
            finish, at = finish or "length", time.monotonic()
            yield Chunk(text, 1, at, finish, usage, timings, routing, notes, warnings)
            if routing:  # nothing follows the last token, but it has its experts too
                yield Chunk(
                    routing=self._forward([token], cache, prompt.long, in_prompt=False).routing
                )
            return

    def read(
        self, messages: Sequence[Message], params: GenerationParams, held: ExitStack
    ) -> Generator[Step, None, Prompt]:
        """What the model is given; each step is at most one forward pass of what it sees with.

        What is put into `held` is kept until the answer has ended, however it ends.
        """
        yield from ()
        return Prompt(self.encode(messages), self._context)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The conversation as tokens, in the model's own chat template."""
        text = self._written(
            messages, lambda m: escape_control_tokens(clean(m.text), self._controls)
        )
        prompt: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        if len(prompt) >= self._context:
            raise self._too_long(len(prompt), self._context)
        return prompt

    def _written(self, messages: Sequence[Message], write: Callable[[Message], str]) -> str:
        """The conversation in the chat template."""
        return self._render(
            to_template_messages(messages, system_slot=self._system_slot, write=write)
        )

    def _too_long(self, tokens: int, context: int) -> ContextLengthError:
        return ContextLengthError(
            f"This conversation is {tokens:,} tokens long; "
            f"{self._label} takes {context:,} here, with the answer.",
            "Shorten the prompt, or clear the conversation and start anew.",
            tokens=tokens,
            context=context,
        )

    def _forward(
        self,
        tokens: "Sequence[int] | torch.Tensor",
        cache: "DynamicCache",
        long: bool,
        *,
        in_prompt: bool = True,
    ) -> ForwardOutput:
        """One forward pass over `tokens`, all of which join the cache."""
        import torch

        torch.set_num_threads(self._threads)  # partly one number for the whole process
        with torch.inference_mode(), self._factors(long):
            if isinstance(tokens, torch.Tensor):
                given = {"inputs_embeds": tokens[None]}
            else:
                given = {"input_ids": torch.tensor([tokens], device=self._model.device)}
            made = self._model(**given, past_key_values=cache, use_cache=True, logits_to_keep=1)
            return ForwardOutput(made.logits[0, -1])

    @contextmanager
    def _factors(self, long: bool) -> Generator[None, None, None]:
        """LongRoPE's long factors for all tokens, where the library would take the short ones."""
        rope: dict[str, Any] = self._model.config.rope_parameters
        if not long or "original_max_position_embeddings" not in rope:
            yield
            return
        switch = rope["original_max_position_embeddings"]
        rope["original_max_position_embeddings"] = 2  # the library compares lengths with it
        try:
            yield
        finally:
            rope["original_max_position_embeddings"] = switch

    def _render(self, talk: list[dict[str, str]]) -> str:
        return self._template.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)

    def _has_system_slot(self) -> bool:
        from jinja2 import TemplateError

        talk = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "x"}]
        try:
            return _PROBE in self._render(talk)
        except TemplateError:  # some templates refuse what they cannot take
            return False


class _Writer:
    """Tokens into what may be shown of them."""

    def __init__(self, tokenizer: "Tokenizer", ends: set[int], stop: Sequence[str]) -> None:
        self._ends = ends
        self._detokenizer = Detokenizer(tokenizer)
        self._stop = StopStrings(stop)

    def push(self, token: int) -> tuple[str, FinishReason | None]:
        """The text that a token adds, and whether it ends the answer."""
        if token in self._ends:
            return "", "stop"
        text = self._stop.push(self._detokenizer.push(token))
        return text, "stop" if self._stop.found else None

    def flush(self) -> str:
        """What is left at the end. Half a character is not: it never becomes one."""
        return self._stop.flush()


def most_tokens(params: GenerationParams) -> int:
    """The most tokens an answer may have."""
    most = DEFAULT_PARAMS.max_tokens if params.max_tokens is None else params.max_tokens
    return max(1, most or 1)


def _stop_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends an answer, wherever the checkpoint says so."""
    found = {tokenizer.eos_token_id}
    for settings in (model.generation_config, model.config):
        ids = settings.eos_token_id
        found.update(ids if isinstance(ids, list) else [ids])
    found.update(tokenizer.backend_tokenizer.token_to_id(text) for text in STOP_TOKENS)
    return found - {None}


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


def damaged(label: str, folder: Path) -> MissingDependencyError:
    """What to say of files that cannot be a whole checkpoint."""
    return MissingDependencyError(
        f"The files of {label} on this machine are damaged or incomplete.",
        "Delete them and download the model again.",
        folder=str(folder),
    )


@contextmanager
def _memory_errors(message: str) -> Generator[None, None, None]:
    """Turn what torch raises when the memory is full into an error of ours."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        # On a CPU it is a plain RuntimeError.
        full = isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
        if not full:
            raise
        raise OutOfMemoryError(message, _MEMORY_HINT) from error
