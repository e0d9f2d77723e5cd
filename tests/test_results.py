"""The kept figures of benchmarks: whose they are, and what a new run replaces."""

import argparse
import json
import re
from pathlib import Path

import pytest

from benchmarks import classroom, machine
from benchmarks.machine import Figure

ROOT = Path(__file__).resolve().parent.parent


def test_a_run_replaces_its_own_entry_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "RESULTS", tmp_path)

    def kept(entry: str, value: float) -> dict[str, float]:
        machine.write(
            "some", {}, [Figure("x", value)], {}, entry=entry, arguments=["--model", "a b"]
        )
        found = json.loads((tmp_path / "some.json").read_text("utf-8"))
        assert {one["command"] for one in found.values()} == {
            "python -m benchmarks.some --model 'a b'"
        }
        return {name: one["figures"][0]["value"] for name, one in found.items()}

    assert kept("Pocket", 1) == {"Pocket": 1}
    assert kept("SmolLM2 by vLLM", 2) == {"Pocket": 1, "SmolLM2 by vLLM": 2}
    assert kept("Pocket", 3) == {"Pocket": 3, "SmolLM2 by vLLM": 2}


def test_what_is_measured_of_the_class_room_has_names_of_its_own() -> None:
    ways = [
        (None, None, 1), (None, None, 2), ("onnx_genai/x", None, 1),
        ("openai_compatible/x", "vLLM", 1), ("openai_compatible/x", "llama-server", 1),
    ]  # fmt: skip
    names = [
        classroom.entry_of(argparse.Namespace(model=model, server=server, processes=processes))
        for model, server, processes in ways
    ]
    assert names[0] == "Pocket" and names[3] == "openai_compatible/x by vLLM"
    assert len(set(names)) == len(ways)


def test_the_guides_table_names_the_entries_that_are_kept() -> None:
    guide = (ROOT / "docs" / "serving.md").read_text("utf-8")
    told = guide[guide.index("`classroom.json`") :].partition("\n\n")[0]
    kept = json.loads((ROOT / "benchmarks" / "results" / "classroom.json").read_text("utf-8"))
    named = set(re.findall(r"`(Pocket|onnx_genai/[\w.-]+)`", told))
    assert named == set(kept)
