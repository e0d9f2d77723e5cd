"""The models that a server lists, and what it tells about each, in the forms of many servers.

vLLM and SGLang tell `max_model_len` and `root`, llama.cpp `meta` and (in a second list of the same
answer) `capabilities`, OpenRouter and Hugging Face's router `context_length` and `architecture`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from .._core.catalog import MODELS, Modality, ModelSpec
from .._core.names import known_model, main_part, unknown_model
from .._core.sentence import Sentence
from .json_values import parse_count, parse_mapping

MAX_MODEL_NAME, MAX_LISTED_MODELS = 200, 2_000
"""Characters of a model's id and models of a list that are read at most."""
_MAX_PROVIDERS, _MAX_PROVIDER, _MAX_PRICE = 100, 40, 1e6
"""Providers of a model that are read, characters of a name, and US dollars, at most."""
_MAX_PATH = 1_000
"""Characters of what a model was loaded from: a longer text is no path."""

_CONTEXT = ("max_model_len", "context_length", "max_context_length", "context_window")
"""Fields with the context as served: of vLLM and SGLang, of most hosted services, of LM Studio and
Mistral, of Groq."""
_SAME_SIZE = 0.15
"""Share by which two counts of one model's parameters may differ: some leave embeddings out."""
_SIGHT = frozenset({"image", "images", "vision", "multimodal"})
"""Words for pictures among the kinds of input, and among the capabilities, that servers name."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A service that serves a model through a router."""

    name: str
    live: bool = True
    context: int | None = None
    price: tuple[float, float] | None = None
    """US dollars for a million tokens: read, and written."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model in a server's list. What the server does not tell is `None`, or empty."""

    id: str
    """What a request calls it."""
    root: str = ""
    """What it was loaded from: a repository or a path."""
    parent: str = ""
    """The model that it is an adapter of, by its id."""
    context: int | None = None
    """Tokens of prompt and answer together, as it is served."""
    trained_context: int | None = None
    """Tokens of the window that it was trained with."""
    parameters: int | None = None
    reads: tuple[Modality, ...] | None = None
    """What it takes beside and with text."""
    providers: tuple[Provider, ...] | None = None
    """Who serves it, where a router tells."""

    @property
    def other_root(self) -> str:
        """What it was loaded from, if its id does not say so already; empty if it does."""
        if not self.root or main_part(self.root) == main_part(self.id):
            return ""
        spec = known_model(self.root)
        return "" if spec.key in MODELS and spec is known_model(self.id) else _shown(self.root)

    def spec(self, guess: ModelSpec) -> ModelSpec:
        """What is known about it; `guess` is what its id suggests, and counts least."""
        if self.other_root and not self.parent:
            guess = known_model(self.root)
        if guess.key not in MODELS or (self.parameters and not _near(self.parameters, guess)):
            count = float(self.parameters or 0)
            guess = replace(
                unknown_model(self.id),
                parameters=count,
                active_parameters=count,
                context=self.trained_context or self.context or 0,
            )
        return replace(guess, modalities=self.reads) if self.reads else guess

    @property
    def sentence(self) -> str:
        """What the server tells that its reader should know: context, and what it really is."""
        told = ["The server has it."]
        if self.parent:
            told.append(Sentence("It is an adapter of “{parent}”.", parent=self.parent))
        elif self.other_root:
            told.append(
                Sentence("Served as “{id}”, really “{root}”.", id=self.id, root=self.other_root)
            )
        if self.context:
            told.append(Sentence("Context: {n} tokens.", n=self.context))
        return Sentence.chain(*told)


def parse_models(listed: Any) -> list[ListedModel] | None:
    """The models in a list of any shape that servers send; `None` if it is none."""
    rows = listed.get("data", listed.get("models")) if isinstance(listed, dict) else listed
    if not isinstance(rows, list):
        return None
    more: dict[str, Mapping[str, Any]] = {}
    if isinstance(listed, dict) and "data" in listed:  # llama.cpp has both lists
        for row in _mappings(cast("dict[str, Any]", listed).get("models")):
            more[_id_of(row)] = row
    found: list[ListedModel] = []
    for row in cast("list[Any]", rows):
        fields = cast("Mapping[str, Any]", row) if isinstance(row, Mapping) else {"id": row}
        name = _id_of(fields)
        if 0 < len(name) <= MAX_MODEL_NAME:
            found.append(_parse({**more.get(name, {}), **fields}, name))
    return found[:MAX_LISTED_MODELS]


def _parse(row: Mapping[str, Any], name: str) -> ListedModel:
    meta, limits = parse_mapping(row.get("meta")), parse_mapping(row.get("top_provider"))
    contexts = [meta.get("n_ctx"), limits.get("context_length"), *map(row.get, _CONTEXT)]
    providers = _providers(row.get("providers"))
    # Whoever of them answers has at least so much.
    contexts.append(min((one.context for one in providers or () if one.context), default=None))
    return ListedModel(
        name,
        root=_text(row.get("root"))[:_MAX_PATH],
        parent=_text(row.get("parent"))[:MAX_MODEL_NAME],
        context=next((count for one in contexts if (count := parse_count(one))), None),
        trained_context=parse_count(meta.get("n_ctx_train")) or None,
        parameters=parse_count(meta.get("n_params")) or None,
        reads=_reads(row),
        providers=providers,
    )


def _providers(rows: object) -> tuple[Provider, ...] | None:
    """Who serves a model, as Hugging Face's router tells it; `None` if a row does not tell."""
    if not isinstance(rows, list):
        return None
    return tuple(
        Provider(
            name=_text(row.get("provider"))[:_MAX_PROVIDER],
            live=row.get("status", "live") == "live",
            context=parse_count(row.get("context_length")) or None,
            price=_price(parse_mapping(row.get("pricing"))),
        )
        for row in list(_mappings(cast("object", rows)))[:_MAX_PROVIDERS]
        if _text(row.get("provider"))
    )


def _price(told: Mapping[str, Any]) -> tuple[float, float] | None:
    """Prices of what is read and written; `None` unless both are such."""
    read, written = _dollars(told.get("input")), _dollars(told.get("output"))
    return None if read is None or written is None else (read, written)


def _dollars(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _MAX_PRICE else None


def _reads(row: Mapping[str, Any]) -> tuple[Modality, ...] | None:
    """What a model takes, if its row tells; `None` if it does not."""
    told = (
        parse_mapping(row.get("architecture")).get("input_modalities"),
        row.get("input_modalities"),
        row.get("supported_input_modalities"),
    )
    kinds = next((_texts(one) for one in told if _texts(one)), None)
    able = row.get("capabilities")
    if kinds is None and isinstance(able, Mapping):
        vision = cast("Mapping[str, Any]", able).get("vision")
        kinds = {"image"} if vision is True else set[str]() if vision is False else None
    # llama.cpp and Ollama name all that a model is capable of; others, who knows what.
    elif kinds is None and (_texts(able) & _SIGHT or "completion" in _texts(able)):
        kinds = _texts(able)
    if kinds is None:
        return None
    reads: list[Modality] = ["text"]
    if kinds & _SIGHT:
        reads.append("image")
    if "audio" in kinds:
        reads.append("audio")
    return tuple(reads)


def _near(count: int, spec: ModelSpec) -> bool:
    """Whether a model of so many parameters may be one of the catalog."""
    return abs(count - spec.parameters) <= _SAME_SIZE * spec.parameters


def _shown(path: str) -> str:
    """A repository or a path, short: `org/name` for a folder of the Hub's cache."""
    for part in path.replace("\\", "/").split("/"):
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/")
    return path if len(path) <= 80 else "…" + path[-80:]


def _id_of(row: Mapping[str, Any]) -> str:
    return _text(row.get("id")) or _text(row.get("name"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> set[str]:
    if not isinstance(value, list):
        return set()
    return {one.lower() for one in cast("list[object]", value) if isinstance(one, str)}


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for one in cast("list[object]", value):
            if isinstance(one, Mapping):
                yield cast("Mapping[str, Any]", one)
