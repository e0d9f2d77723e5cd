"""Servers that this program does not start: an Ollama that runs, and the page's own llama.cpp."""

import asyncio
import json
import os
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from backends import REGISTRY, BackendError
from backends._local.host import HOST

from .checks import Case, Served
from .models import POCKETS, SMOL, WRITTEN, Model
from .process import DidNotStart


@dataclass(frozen=True)
class Ollama:
    """The Ollama that `OLLAMA_HOST` names: with the models of these checks, or its smallest two."""

    key: str = "ollama"
    label: str = "Ollama"
    remark: str = ""
    on_the_page: bool = False

    @property
    def version(self) -> str:
        """As it tells itself; empty where none runs."""
        if not os.environ.get("OLLAMA_HOST"):
            return ""
        try:
            return self._get("version")["version"]
        except (BackendError, OSError):
            return ""

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator[Case, None]:
        """Its models. Raises `DidNotStart`."""
        if not os.environ.get("OLLAMA_HOST"):
            raise DidNotStart("OLLAMA_HOST names none")
        try:
            rows = (await asyncio.to_thread(self._get, "tags"))["models"]
        except (BackendError, OSError) as error:
            raise DidNotStart(str(error)) from error
        ours = {model.name: model for model in (*POCKETS, SMOL)}
        names = [row["name"].removesuffix(":latest") for row in rows]
        chosen = [ours[name] for name in names if name in ours]
        if len(chosen) < 2:
            smallest = sorted(rows, key=lambda row: row["size"])[:2]
            names = [row["name"].removesuffix(":latest") for row in smallest]
            chosen = [Model(name, Path(), 0) for name in names]
        yield Case([Served(model, REGISTRY["ollama"], model.name) for model in chosen])

    def _get(self, what: str) -> dict[str, Any]:
        url = REGISTRY["ollama"].normalize_base_url(os.environ["OLLAMA_HOST"])
        with urllib.request.urlopen(f"{url}/api/{what}", timeout=10) as response:
            return json.load(response)


@dataclass(frozen=True)
class PageLlamaCpp:
    """llama.cpp's server as the backend `llama_cpp` starts it, in processes of the page."""

    key: str = "llama_cpp"
    label: str = "llama.cpp in the page (xllamacpp)"
    remark: str = ""
    on_the_page: bool = False

    @property
    def version(self) -> str:
        """That of the package."""
        try:
            return version("xllamacpp")
        except PackageNotFoundError:
            return ""

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator[Case, None]:
        """The GGUF files; what was loaded is unloaded. Raises `DidNotStart`."""
        backend = REGISTRY["llama_cpp"]
        if missing := backend.missing_packages():
            raise DidNotStart(f"{', '.join(missing)} is not installed")
        before = os.environ.get("PHI_MODELS_DIR")
        os.environ["PHI_MODELS_DIR"] = str(WRITTEN)
        try:
            models = [model for model in (*POCKETS, SMOL) if model.gguf]
            yield Case([Served(model, backend, f"{model.name}.gguf") for model in models])
        finally:
            os.environ.pop("PHI_MODELS_DIR")
            if before is not None:
                os.environ["PHI_MODELS_DIR"] = before
            for key in HOST.loaded():
                HOST.unload(key)
