"""GGUF files on this machine: where other programs keep them, and which of them can chat.

They are only ever read. Where they lie: `fs_get_cache_directory` in llama.cpp's
`common/common.cpp` (newer versions of it use the Hugging Face cache); `envconfig/config.go` and
`docs/faq.md` of Ollama; the model folder of LM Studio is named in its settings, which a file in the
home directory points to.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from . import gguf_header
from .gguf_header import GGUFError, Header
from .weights import hub_cache

_DEEPEST = 5
"""Folders below a place that are looked into: the disk may be large."""
_MOST = 500
"""Files that are looked at in one place."""
_OLLAMA = "ollama/"
"""What the names of its models begin with here."""
_OLLAMA_MODEL = "application/vnd.ollama.image.model"


@dataclass(frozen=True)
class Found:
    """A model in a GGUF file, or in several that it was split into."""

    model: str
    """Its name, unlike all others: the way to it below the place where it lies."""
    file: Path
    """The first of its files."""
    header: Header
    place: str
    """Whose file it is, in words."""

    @property
    def is_here(self) -> bool:
        """Whether its files still are where they were, and what they were."""
        try:
            return gguf_header.read(self.file) == self.header
        except (OSError, GGUFError):
            return False

    @property
    def title(self) -> str:
        """What people know it by: a file calls itself what its maker had at hand."""
        if self.model.startswith(_OLLAMA):
            return self.model.removeprefix(_OLLAMA)
        return gguf_header.without_part(self.file.name)


def find() -> list[Found]:
    """Every model on this machine that chats, each once, wherever it lies. Looks at the disk."""
    found: dict[str, Found] = {}
    prints: set[str] = set()
    for place, name, file in _files():
        try:
            header = gguf_header.read(file)
        except (OSError, GGUFError):
            continue
        if not header.chats or header.fingerprint in prints:
            continue
        prints.add(header.fingerprint)
        model = name if name not in found else str(file)
        found[model] = Found(model, file, header, place)
    return [*found.values()]


def _files() -> Iterator[tuple[str, str, Path]]:
    """Files that may be models: place, a name, and the file; the visitor's own folder first."""
    if own := os.environ.get("PHI_MODELS_DIR"):
        for name, file in _below(Path(own).expanduser()):
            yield "below PHI_MODELS_DIR", name, file
    for folder in _hub_snapshots():
        repository = folder.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
        for name, file in _below(folder, 2):
            yield "in the Hugging Face cache", f"{repository}/{name}", file
    for folder in dict.fromkeys(_lm_studio()):
        for name, file in _below(folder):
            yield "fetched by LM Studio", name, file
    for name, file in _below(llama_cache()):
        yield "fetched by llama.cpp", name, file
    for store in _ollama_stores():
        for name, file in _ollama(store):
            yield "fetched by Ollama", name, file


def _below(folder: Path, deepest: int = _DEEPEST) -> Iterator[tuple[str, Path]]:
    """Files below a folder, each with the way to it, without later parts of split models."""
    seen = 0
    for depth in range(deepest):
        with suppress(OSError):
            for file in sorted(folder.glob("*/" * depth + "*.[gG][gG][uU][fF]")):
                seen += 1
                if seen > _MOST:
                    return
                if not gguf_header.is_later_part(file):
                    yield file.relative_to(folder).as_posix(), file


def _hub_snapshots() -> Iterator[Path]:
    """Folders of the Hugging Face cache, one for each revision of a repository."""
    with suppress(OSError):
        yield from sorted(hub_cache().glob("models--*/snapshots/*"))


def llama_cache() -> Path:
    """The folder in which llama.cpp keeps what it downloads."""
    if cache := os.environ.get("LLAMA_CACHE"):
        return Path(cache)
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        root = "~/Library/Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "llama.cpp"


def _lm_studio() -> Iterator[Path]:
    """Folders in which LM Studio keeps models."""
    home = Path.home()
    homes = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    with suppress(OSError, ValueError):
        homes.insert(0, Path((home / ".lmstudio-home-pointer").read_text("utf-8").strip()))
    for one in homes:
        settings = _json(one / "settings.json")
        if isinstance(folder := settings.get("downloadsFolder"), str) and folder:
            yield Path(folder)
        yield one / "models"


def _ollama_stores() -> list[Path]:
    """Folders in which Ollama keeps models: as it is told, a user's own, the service's on Linux."""
    if named := os.environ.get("OLLAMA_MODELS"):
        return [Path(named)]
    stores = [Path.home() / ".ollama" / "models"]
    if sys.platform == "linux":
        stores.append(Path("/usr/share/ollama/.ollama/models"))
    return stores


def _ollama(store: Path) -> Iterator[tuple[str, Path]]:
    """The models of a store: what a manifest calls a model is a GGUF file among the blobs."""
    with suppress(OSError):
        manifests = sorted((store / "manifests").glob("*/*/*/*"))[:_MOST]
        for manifest in manifests:
            *owner, name, tag = manifest.relative_to(store / "manifests").parts[1:]
            short = "/".join([*(one for one in owner if one != "library"), f"{name}:{tag}"])
            for layer in _layers(manifest):
                digest = str(layer.get("digest", ""))
                # Nothing but letters and digits: it names a file in that folder alone.
                named = digest.startswith("sha256:") and digest.removeprefix("sha256:").isalnum()
                if layer.get("mediaType") == _OLLAMA_MODEL and named:
                    yield f"{_OLLAMA}{short}", store / "blobs" / digest.replace(":", "-")


def _layers(manifest: Path) -> list[dict[str, Any]]:
    layers = _json(manifest).get("layers")
    rows = cast("list[Any]", layers) if isinstance(layers, list) else []
    return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]


def _json(file: Path) -> dict[str, Any]:
    """The record in a file; empty if there is none."""
    try:
        if file.stat().st_size > 1_000_000:
            return {}
        read = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}
