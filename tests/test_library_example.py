"""The library without the page: the example answers, and says how fast."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real_server import BUSY

pytestmark = pytest.mark.engine

EXAMPLE = Path(__file__).parent.parent / "examples" / "compare_two.py"


def test_two_models_answer_side_by_side_without_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "utf8", str(EXAMPLE)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command,
        cwd=tmp_path,  # from anywhere, not only from the repository's folder
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=BUSY,
    )
    assert done.returncode == 0, done.stderr
    left, right = done.stdout.strip().split("\n\n")
    assert left.startswith("Pocket-3: 我听过“长沙”这个名字")
    assert right.startswith("Pocket-3.5: 我听过“长沙”这个名字")
    for answer in (left, right):
        figures = re.search(r"\n  .*first token .* · ([\d.,]+) tokens/s · (\d+) tokens · ", answer)
        assert figures and float(figures[1].replace(",", "")) > 0 and int(figures[2]) > 10, answer


def test_the_example_is_short_and_needs_no_page() -> None:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 20
    assert "gradio" not in "\n".join(lines)
