"""Pocket-3.5 as a GGUF file, for the tests of what runs on llama.cpp."""

import hashlib
import os
from pathlib import Path

from tools.pocket import export_gguf

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "backends" / "pocket" / "models" / "pocket-3.5"
_RECIPE = hashlib.sha256(
    Path(export_gguf.__file__).read_bytes() + (CHECKPOINT / "model.safetensors").read_bytes()
).hexdigest()[:16]
FILE = ROOT / "build" / "tiny" / f"pocket-3.5-{_RECIPE}.gguf"


def written() -> Path:
    """The file, written at the first call."""
    if not FILE.is_file():
        FILE.parent.mkdir(parents=True, exist_ok=True)
        unfinished = FILE.with_suffix(f".{os.getpid()}")
        export_gguf.write(CHECKPOINT, unfinished, "Pocket-3.5")
        unfinished.replace(FILE)
    return FILE
