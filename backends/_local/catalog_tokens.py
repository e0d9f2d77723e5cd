"""Tokens of a text to a model of the catalog, whose tokenizer alone has to be on this machine."""

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .._core.catalog import ModelSpec
from .._core.unicode import clean
from . import weights

if TYPE_CHECKING:
    from tokenizers import Tokenizer


async def count_catalog_tokens(spec: ModelSpec, text: str) -> int | None:
    """How many tokens a text is to a published model; `None` if its tokenizer is not here.

    Neither its weights nor any backend need be here, only `tokenizer.json` in `$PHI_MODELS_DIR` or
    the Hugging Face cache. Raises `ValueError` if that is no tokenizer.
    """
    return await asyncio.to_thread(_count, spec, text)


def _count(spec: ModelSpec, text: str) -> int | None:
    if spec.hub_id is None:
        return None
    files = (folder / "tokenizer.json" for folder in weights.places(spec.hub_id))
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return None
    return len(_tokenizer(file).encode(clean(text), add_special_tokens=False))


@lru_cache(maxsize=2)
def _tokenizer(file: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{file} is no tokenizer: {error}") from error
