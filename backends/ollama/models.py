"""What an Ollama tells about its models: `/api/tags`, `/api/ps` and `/api/show`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._core.unicode import clean
from .._remote.endpoint import parse_count

_VISION_FAMILIES = frozenset({"clip", "mllama"})
"""Families of vision encoders: of LLaVA and its relatives, of Llama 3.2 Vision."""
_MAX_NAME, _MAX_DIGEST, _MAX_QUANTISATION = 200, 80, 20
"""Characters that are taken from a server."""


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that is installed in an Ollama."""

    quantisation: str
    """The format of its weights, such as `Q4_0`; empty if unknown."""
    size: int | None
    """Bytes on disk; `None` if unknown."""
    has_vision: bool | None = None
    """Whether it reads pictures; `None` where the list does not tell."""
    digest: str = ""
    """Hash of its content; empty if unknown."""


def parse_installed(reply: Mapping[str, Any]) -> dict[str, InstalledModel]:
    """The chat models in a reply of `/api/tags`, by full name; embedding models are left out."""
    models: dict[str, InstalledModel] = {}
    for row in model_rows(reply):
        details = row.get("details")
        details = details if isinstance(details, dict) else {}
        name = row.get("model") or row.get("name")
        embeds = "bert" in str(details.get("family"))
        if isinstance(name, str) and len(name) <= _MAX_NAME and not embeds:
            models[full_name(clean(name))] = InstalledModel(
                clean(str(details.get("quantization_level") or ""))[:_MAX_QUANTISATION],
                parse_count(row.get("size")),
                parse_vision(row),
                str(row.get("digest") or "")[:_MAX_DIGEST],
            )
    return models


def parse_vision(reply: Mapping[str, Any]) -> bool | None:
    """Whether a model reads pictures, by its row in `/api/tags` or by `/api/show`.

    Both have `capabilities`: the first since 2026, the second since 0.6.4 of 2025 (ollama#14964,
    #16665). Older versions name the family of a vision encoder instead; without one the answer is
    `None`, since that proves nothing.
    """
    capabilities = reply.get("capabilities")
    if isinstance(capabilities, list) and capabilities:
        return "vision" in capabilities
    details = reply.get("details")
    families = details.get("families") if isinstance(details, dict) else None
    found = isinstance(families, list) and not _VISION_FAMILIES.isdisjoint(map(str, families))
    return True if found else None


def model_rows(reply: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a reply that lists models; those that are no JSON objects are left out."""
    rows = reply.get("models")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def full_name(model: str) -> str:
    """A model's name with its tag, as Ollama lists it: `phi3` is `phi3:latest`."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"
