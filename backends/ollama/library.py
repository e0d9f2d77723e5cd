"""The names of Ollama's own library: what is offered, which mean one model, and which model."""

import re
from collections.abc import Collection

from .._core.catalog import MODELS, ModelSpec
from .._core.names import known_model

LIBRARY = {
    "phi3.5": 2_180_000_000,
    "phi3": 2_180_000_000,
    "phi4-mini": 2_490_000_000,
    "phi3:medium": 7_900_000_000,
    "phi4": 9_050_000_000,
}
"""Models of Ollama's library that are offered before they are here, with about how many bytes each
takes: its parameters at 4.5 bits (Q4_0, the phi3 family) or about 5 (Q4_K_M, the phi4 family).
Ollama's own README says 2.3 GB for phi3, 2.5 for phi4-mini and 9.1 for phi4 (ollama#9424)."""

_SAME_MODEL = (
    ("phi3:latest", "phi3:mini", "phi3:3.8b"),
    ("phi3:medium", "phi3:14b"),
    ("phi3.5:latest", "phi3.5:3.8b"),
    ("phi4:latest", "phi4:14b"),
    ("phi4-mini:latest", "phi4-mini:3.8b"),
    ("phi4-mini-reasoning:latest", "phi4-mini-reasoning:3.8b"),
    ("phi4-reasoning:latest", "phi4-reasoning:14b"),
)
"""Tags of the library that name one and the same file: its pages call `phi3:mini` and `phi3:medium`
so (https://ollama.com/library/phi3), and every model by its size."""

_SPECS = [
    (re.compile(pattern), MODELS[key])
    for pattern, key in (
        (r"phi3:.*(medium|14b).*128k", "phi-3-medium-128k"),
        (r"phi3:.*(medium|14b)", "phi-3-medium-4k"),
        (r"phi3:.*128k", "phi-3-mini-128k"),
        (r"phi3:", "phi-3-mini-4k"),
        (r"phi3\.5:", "phi-3.5-mini"),
        (r"phi4-mini-reasoning:", "phi-4-mini-reasoning"),
        (r"phi4-mini:", "phi-4-mini"),
        (r"phi4-reasoning:.*plus", "phi-4-reasoning-plus"),
        (r"phi4-reasoning:", "phi-4-reasoning"),
        (r"phi4:", "phi-4"),
    )
]
"""What the names of Ollama's own library mean; other names are read as `known_model` reads them."""


def full_name(model: str) -> str:
    """A model's name with its tag, as Ollama lists it: `phi3` is `phi3:latest`."""
    name = model.strip().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def short_name(model: str) -> str:
    """A name without the default tag."""
    return model.removesuffix(":latest")


def aliases(model: str) -> tuple[str, ...]:
    """The other full names of a model of the library, by its full name."""
    group = next((names for names in _SAME_MODEL if model.lower() in names), ())
    return tuple(name for name in group if name != model.lower())


def resolve(installed: Collection[str], model: str) -> str:
    """The full name under which a model is installed; its own full name if it is not.

    Ollama itself takes no account of case, and knows no aliases.
    """
    name = full_name(model)
    if name in installed:
        return name
    by_lower = {one.lower(): one for one in installed}
    return next((by_lower[one] for one in (name.lower(), *aliases(name)) if one in by_lower), name)


def spec_of(model: str) -> ModelSpec:
    """What is known about a model by its name at Ollama."""
    name = full_name(model.lower())
    return next((spec for found, spec in _SPECS if found.match(name)), known_model(model))


def runs_in_cloud(model: str) -> bool:
    """Whether a name says that its model runs at ollama.com: `gpt-oss:120b-cloud`.

    As Ollama reads it (`parseSourceSuffix` in its `internal/modelref`).
    """
    tag = full_name(model).rpartition(":")[2].lower()
    return tag == "cloud" or tag.endswith("-cloud")
