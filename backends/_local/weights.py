"""Model files: where they are, whether they are all there, how big they are."""

import json
import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from .._core.errors import MissingDependencyError
from .._core.sentence import Sentence

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_LONGEST_HEADER = 100_000_000
"""Bytes; the format allows no more."""


def find(hub_id: str) -> Path | None:
    """The folder with the complete checkpoint of `hub_id` on this machine, if there is one.

    Looks into `$PHI_MODELS_DIR`, with and without the owner's name, then into the Hugging Face
    cache (`$HF_HUB_CACHE`, `$HF_HOME`).
    """
    return next((folder for folder in places(hub_id) if is_complete(folder)), None)


def is_complete(folder: Path) -> bool:
    """Whether config, tokenizer and every safetensors shard that the index names are there."""
    return (
        (folder / "config.json").is_file()
        and any((folder / name).is_file() for name in TOKENIZERS)
        and bool(shards := _shards(folder))
        and all(shard.is_file() for shard in shards)
    )


def parameter_count(folder: Path) -> int:
    """How many numbers a checkpoint holds, read from the headers of its shards."""
    return sum(_count(shard) for shard in _shards(folder))


def places(hub_id: str) -> Iterator[Path]:
    """Where files of a repository would lie on this machine, the visitor's own folder first."""
    if root := os.environ.get("PHI_MODELS_DIR"):
        yield Path(root).expanduser() / hub_id
        yield Path(root).expanduser() / hub_id.split("/")[-1]
    repo = hub_cache() / f"models--{hub_id.replace('/', '--')}"
    try:
        yield repo / "snapshots" / (repo / "refs" / "main").read_text().strip()
    except OSError:  # never downloaded, or by the number of a commit, as a Space preloads it
        yield from sorted((repo / "snapshots").glob("*"), key=os.path.getmtime, reverse=True)


def revision_of(folder: Path | None) -> str | None:
    """The commit of a folder in the Hugging Face cache; `None` of any other folder."""
    inside = [folder, *folder.parents] if folder else []
    return next((one.name for one in inside if one.parent.name == "snapshots"), None)


def hub_cache() -> Path:
    """The Hugging Face cache's folder, by the library's own rules.

    Read from the environment each time: the library reads it once, when it is imported.
    """
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"
    )
    return Path(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")).expanduser()


def _shards(folder: Path) -> list[Path]:
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text("utf-8"))
    except FileNotFoundError:
        single = folder / "model.safetensors"
        return [single] if single.is_file() else []
    except ValueError:  # half a file
        return []
    return [folder / name for name in sorted(set(index["weight_map"].values()))]


def safetensors_header(shard: Path) -> tuple[int, dict[str, Any]]:
    """Where the data of a file begins, and its tensors by name: kind of number, shape, place."""
    # The format: eight bytes with the header's length, then the header as JSON.
    with shard.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError(f"not a safetensors file: {shard.name}")
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return 8 + length, header


def _count(shard: Path) -> int:
    _, tensors = safetensors_header(shard)
    return sum(prod(tensor["shape"]) for tensor in tensors.values())


def damaged(label: str, folder: Path) -> MissingDependencyError:
    """What to say of files that cannot be a whole checkpoint."""
    return MissingDependencyError(
        Sentence("The files of {label} on this machine are damaged or incomplete.", label=label),
        "Delete them and download the model again.",
        folder=str(folder),
    )
