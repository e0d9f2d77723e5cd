"""What an Ollama tells about its models: `/api/tags`, `/api/ps` and `/api/show`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import urlsplit

from .._core.catalog import Modality, ModelSpec
from .._core.unicode import clean
from .._remote.json_values import parse_count, parse_mapping
from .library import full_name

_VISION_FAMILIES = frozenset({"clip", "mllama"})
"""Families of vision encoders: of LLaVA and its relatives, of Llama 3.2 Vision."""
_MAX_NAME, _MAX_DIGEST, _MAX_FACT = 200, 80, 40
"""Characters that are taken from a server."""
_BARE_TEMPLATE = re.compile(r"\s*\{\{-?\s*\.Prompt\s*-?\}\}\s*")
"""The template of a model that has none: Ollama's default (`DefaultTemplate` in its `template`)."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMBT])", re.IGNORECASE)
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that an Ollama lists."""

    name: str
    """As it is listed, with its tag."""
    quantisation: str
    """The format of its weights, such as `Q4_0`; empty if unknown."""
    size: int | None
    """Bytes on disk; `None` if unknown."""
    has_vision: bool | None = None
    """Whether it reads pictures; `None` where the list does not tell."""
    digest: str = ""
    """Hash of its content; empty if unknown."""
    context: int | None = None
    """Tokens of its full window; `None` where the list does not tell."""
    parameters: float = 0
    """How many it has, about; 0 if unknown."""
    host: str = ""
    """Where it runs, if that is not where this Ollama is: `ollama.com`."""


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """What `/api/show` tells beyond the list."""

    has_vision: bool | None
    """Whether it reads pictures; `None` where that is not told."""
    lacks_template: bool
    """Whether it gets the bare words of a conversation, for want of a chat template."""


def parse_installed(reply: Mapping[str, Any]) -> dict[str, InstalledModel]:
    """The chat models in a reply of `/api/tags`, by full name; others are left out."""
    models: dict[str, InstalledModel] = {}
    for row in model_rows(reply):
        details = parse_mapping(row.get("details"))
        name = row.get("model") or row.get("name")
        if not isinstance(name, str) or len(name) > _MAX_NAME or not _can_chat(row, details):
            continue
        host = remote_host(row)
        models[full_name(clean(name))] = InstalledModel(
            clean(name),
            "" if host else _fact(details, "quantization_level"),
            None if host else parse_count(row.get("size")),
            parse_vision(row),
            str(row.get("digest") or "")[:_MAX_DIGEST],
            parse_count(details.get("context_length")) or None,
            _parse_parameters(_fact(details, "parameter_size")),
            host,
        )
    return models


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in Ollama's memory."""

    context: int | None = None
    """Tokens of the context that it was loaded with; `None` where that is not told, as before
    Ollama 0.8 or while it is being loaded."""
    on_cpu: bool = False
    """Whether no part of it is in a GPU's memory."""


def parse_running(reply: Mapping[str, Any]) -> dict[str, LoadedModel] | None:
    """The models in memory by full name, from a reply of `/api/ps`; `None` if it does not tell."""
    if not isinstance(reply.get("models"), list):
        return None
    return {
        full_name(str(row.get("model") or row.get("name"))): LoadedModel(
            parse_count(row.get("context_length")) or None,
            on_cpu=bool(parse_count(row.get("size"))) and parse_count(row.get("size_vram")) == 0,
        )
        for row in model_rows(reply)
    }


def parse_details(reply: Mapping[str, Any]) -> ModelDetails:
    """What a reply of `/api/show` tells.

    Where a model has its own template in its file, newer versions show that one, and where a
    renderer of Ollama's own makes the prompt, they name it.
    """
    template = reply.get("template")
    bare = isinstance(template, str) and bool(_BARE_TEMPLATE.fullmatch(template))
    rendered = bool(reply.get("renderer") or reply.get("remote_host"))
    return ModelDetails(parse_vision(reply), bare and not rendered)


def parse_vision(reply: Mapping[str, Any]) -> bool | None:
    """Whether a model reads pictures, by its row in `/api/tags` or by `/api/show`.

    Both have `capabilities`: the first since 2026, the second since 0.6.4 of 2025 (ollama#14964,
    #16665). Older versions name the family of a vision encoder instead; without one the answer is
    `None`, since that proves nothing.
    """
    if capabilities := _capabilities(reply):
        return "vision" in capabilities
    families = parse_mapping(reply.get("details")).get("families")
    if not isinstance(families, list):
        return None
    return (
        True if not _VISION_FAMILIES.isdisjoint(map(str, cast("list[object]", families))) else None
    )


def with_facts(spec: ModelSpec, model: InstalledModel | None, vision: bool | None) -> ModelSpec:
    """A spec that was guessed by a name, with what the server tells of the model itself."""
    if vision is not None and vision is not ("image" in spec.modalities):
        others: tuple[Modality, ...] = tuple(kind for kind in spec.modalities if kind != "image")
        spec = replace(spec, modalities=(*others, "image") if vision else others)
    if model and model.context:
        spec = replace(spec, context=model.context)
    if model and model.parameters and not spec.parameters:
        spec = replace(spec, parameters=model.parameters, active_parameters=model.parameters)
    return spec


def model_rows(reply: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a reply that lists models; those that are no JSON objects are left out."""
    rows = reply.get("models")
    rows = cast("list[object]", rows) if isinstance(rows, list) else []
    return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]


def _can_chat(row: Mapping[str, Any], details: Mapping[str, Any]) -> bool:
    """Whether a model answers in words; before `capabilities`, an encoder's family says if not."""
    if capabilities := _capabilities(row):
        return "completion" in capabilities
    family = str(details.get("family")).lower()
    return "bert" not in family and "embed" not in family


def _capabilities(reply: Mapping[str, Any]) -> list[object]:
    told = reply.get("capabilities")
    return cast("list[object]", told) if isinstance(told, list) else []


def remote_host(row: Mapping[str, Any]) -> str:
    """The host name at which a model runs, by its row; empty if it runs where it is listed."""
    told = row.get("remote_host")
    if not isinstance(told, str) or not told:
        return "ollama.com" if row.get("remote_model") else ""
    try:
        host = urlsplit(told if "://" in told else f"//{told}").hostname
    except ValueError:
        host = None
    return clean(host or told)[:_MAX_FACT]


def _parse_parameters(text: str) -> float:
    """A number of parameters as Ollama writes it: `3.8B`, `134.52M`; 0 for anything else."""
    found = _SIZE.fullmatch(text)
    return float(found[1]) * _UNITS[found[2].upper()] if found else 0


def _fact(details: Mapping[str, Any], name: str) -> str:
    return clean(str(details.get(name) or ""))[:_MAX_FACT]
