"""A text model in ONNX Runtime GenAI, behind the seam."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._core.backend import CONTEXT_CAP
from .._core.errors import MissingDependencyError, OutOfMemoryError
from .._core.sentence import Sentence
from .chat_text import ChatText
from .machine import free_memory
from .memory_errors import memory_errors
from .onnx_providers import provider_failed, use_provider
from .seam import Output, Plan
from .sessions import check_room
from .text_model import USUAL_TOKENS, TextModel, threads_for
from .weights import damaged

_OVERHEAD = 150e6
"""Bytes that the libraries and a forward pass take beside weights and cache."""
WORKSPACE = 1_000_000_000
"""Bytes that a mini model takes beside its weights for an answer of usual length: its cache, and
what a forward pass works in (3.4 GiB in all were measured for Phi-3.5-mini's shapes)."""


class OnnxSession:
    """A generator of ONNX Runtime GenAI, used for its logits alone; see `seam.Session`."""

    def __init__(self, model: Any, room: int, size: int) -> None:
        check_room(room, size, free_memory())
        og = library()
        params = og.GeneratorParams(model)
        params.set_search_options(max_length=room, do_sample=False)
        self._generator: Any = og.Generator(model, params)

    def feed(self, tokens: Any, in_prompt: bool = True) -> Output:
        """Read some more tokens."""
        import numpy as np

        assert self._generator is not None
        self._give(tokens)
        logits = np.asarray(self._generator.get_logits())
        return Output(logits.reshape(-1, logits.shape[-1])[-1].astype(np.float32, copy=False))

    def _give(self, tokens: Any) -> None:
        """Have the library compute some more tokens."""
        import numpy as np

        self._generator.append_tokens(np.array(tokens, dtype=np.int32))

    def rewind(self, length: int) -> bool:
        """Forget all but the first `length` tokens."""
        assert self._generator is not None
        self._generator.rewind_to(length)
        return True

    def close(self) -> None:
        """Give its memory back."""
        self._generator = None


class OnnxText(TextModel):
    """A loaded folder of ONNX Runtime GenAI; see `seam.Loaded`.

    Logits of a prompt in one feed and in several differ by 5e-5 (tried with 0.18.0): `exact`.
    """

    def __init__(
        self, label: str, model: Any, text: ChatText, facts: "Facts", threads: int
    ) -> None:
        device = str(model.device_type).lower()
        super().__init__(label, text, device, threads, facts.context, facts.bytes_per_token)
        self._model: Any = model
        self._facts = facts

    def _open(self, room: int) -> OnnxSession:
        """A session with memory for so many tokens. Raises `OutOfMemoryError`."""
        return OnnxSession(self._model, room, room * self._bytes_per_token)

    def close(self) -> None:
        """Give its memory back."""
        super().close()
        self._model = None


class Facts:
    """What `genai_config.json` says of a model. Raises `OSError`, `ValueError` or `KeyError`."""

    def __init__(self, folder: Path, context: int | None = None) -> None:
        model: dict[str, Any] = json.loads((folder / "genai_config.json").read_text("utf-8"))[
            "model"
        ]
        decoder = model["decoder"]
        self.type: str = model["type"]
        self.longest = int(model["context_length"])
        """Tokens of the model's full window."""
        self.context: int = min(context or CONTEXT_CAP, CONTEXT_CAP, self.longest)
        files = [file for name in _graphs(model) for file in folder.glob(f"{name}*")]
        self.weights = sum(file.stat().st_size for file in files)
        """Bytes of its graphs and their weights."""
        self.vocabulary = int(model.get("vocab_size", 0))
        heads = decoder["num_key_value_heads"] * decoder["head_size"]
        # Keys and values in float32: what int4 models for a processor compute with.
        self.bytes_per_token = 2 * 4 * heads * decoder["num_hidden_layers"]


def is_complete(folder: Path) -> bool:
    """Whether configuration, tokenizer, graphs and weights are there."""
    try:
        config = json.loads((folder / "genai_config.json").read_text("utf-8"))
        graphs = [folder / name for name in _graphs(config["model"])]
        # A small graph has its weights beside it.
        small = [graph for graph in graphs if graph.stat().st_size <= 1_000_000]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return (folder / "tokenizer.json").is_file() and all(
        graph.with_name(f"{graph.name}.data").is_file() for graph in small
    )


def model_type(folder: Path) -> str | None:
    """What `genai_config.json` says a folder is, such as `phi3` or `phi3v`."""
    try:
        return json.loads((folder / "genai_config.json").read_text("utf-8"))["model"]["type"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _graphs(model: Any) -> list[str]:
    """The names of a model's graphs: one of text, three of a model with eyes."""
    parts = [model["decoder"], *(model[name] for name in ("embedding", "vision") if name in model)]
    return [str(part["filename"]) for part in parts]


def plan(label: str, folder: str, context: int | None = None, provider: str | None = None) -> Plan:
    """How to load a folder, by an execution provider if one is named.

    Raises `MissingDependencyError` if it is damaged or incomplete.
    """
    return plan_of(OnnxText, label, folder, context, USUAL_TOKENS, provider)


def plan_of(
    engine: type[OnnxText],
    label: str,
    folder: str,
    context: int | None,
    usual: int,
    provider: str | None = None,
) -> Plan:
    """How to load a folder with one of the engines, for conversations of `usual` tokens.

    Of a GPU the library does not tell the memory: as much of the main memory is asked for.
    Raises `MissingDependencyError` if it is damaged or incomplete.
    """
    path = Path(folder)
    try:
        facts = Facts(path, context)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(label, path) from error
    cache = min(facts.context, usual) * facts.bytes_per_token
    return Plan(
        device=provider or "cpu",
        need=int(facts.weights + cache + _OVERHEAD),
        per_answer=cache,
        free=free_memory,
        load=lambda report: _load(engine, path, label, facts, provider, report),
    )


def _load(
    engine: type[OnnxText],
    folder: Path,
    label: str,
    facts: Facts,
    provider: str | None,
    report: Callable[[float], None],
) -> OnnxText:
    og = library()

    threads = threads_for(facts.weights)
    options = {"intra_op_num_threads": threads, "session.intra_op.allow_spinning": "0"}
    try:
        # Where several forms of a model lie in folders of one, its tokenizer stands above them.
        text = ChatText(folder if (folder / "tokenizer.json").is_file() else folder.parent)
        config = og.Config(str(folder))
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        if provider:
            use_provider(og, config, provider)
        with memory_errors(Sentence("The memory ran out while {label} was loaded.", label=label)):
            loaded = engine(label, og.Model(config), text, facts, threads)
    except OutOfMemoryError:
        raise
    except Exception as error:  # the library raises plain RuntimeError and its own OrtException
        if provider:
            raise provider_failed(label, provider, error) from error
        raise _unreadable(label, folder, str(error)) from error
    report(1.0)
    return loaded


def library() -> Any:
    """The library: a compiled module without types."""
    import onnxruntime_genai

    return onnxruntime_genai


def _unreadable(label: str, folder: Path, said: str) -> MissingDependencyError:
    """The error of a folder that cannot be loaded, by what the library said."""
    if "chat template" in said:
        what = Sentence(
            "{label} has no chat template that can be read, so nothing can be asked.", label=label
        )
        hint = "Put its chat_template.jinja beside its tokenizer.json."
        return MissingDependencyError(what, hint)
    if "nsupported model_type" in said or "model package" in said:
        what = Sentence("{label} is no text model that this ONNX Runtime GenAI knows.", label=label)
        return MissingDependencyError(what, "Choose another model.")
    if "interface not available" in said or "xecution provider" in said:
        what = Sentence(
            "{label} is built for another kind of processor than is set up here.", label=label
        )
        hint = "Take its folder for a CPU, or install the package of ONNX Runtime GenAI for it."
        return MissingDependencyError(what, hint)
    return damaged(label, folder)
