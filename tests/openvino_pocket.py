"""Pocket-3.5 for OpenVINO, written when it is first asked for: it takes a tenth of a second."""

import hashlib
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tools.pocket import export_openvino

ROOT = Path(__file__).parents[1]
POCKET = ROOT / "backends" / "pocket" / "models" / "pocket-3.5"
INSTALLED = find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not INSTALLED, reason="pip install openvino")


def _recipe() -> str:
    made_of = (Path(export_openvino.__file__), POCKET / "model.safetensors")
    return hashlib.sha256(b"".join(file.read_bytes() for file in made_of)).hexdigest()[:16]


FOLDER = ROOT / "build" / "openvino" / _recipe()


def pocket() -> Path:
    """The folder with the model, kept under `build/`."""
    if not FOLDER.is_dir():
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=FOLDER.parent))
        export_openvino.export(POCKET, unfinished)
        try:
            unfinished.rename(FOLDER)
        except OSError:  # another test run was faster
            shutil.rmtree(unfinished)
    return FOLDER
