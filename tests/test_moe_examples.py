"""The examples of a mixture of experts: complete, in their language, the course's agent."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from playground.examples import EXAMPLES, moe
from playground.examples.moe import MoeExample, load_moe
from playground.languages import LANGUAGES, detect, script_share

ROOT = Path(__file__).parent.parent
DATA = json.loads((ROOT / "playground" / "examples" / "moe.json").read_text(encoding="utf-8"))
CODES = ["en", "es", "zh", "ar"]
MOE = [example for code in CODES for example in load_moe(code)]
FENCED = re.compile(r"```json\n(.*?)```", re.DOTALL)
TOOLS = {"Blog", "Translate"}


def questions(code: str, topic: str) -> list[str]:
    """What the built-in model was taught to answer."""
    file = ROOT / "tools" / "pocket" / "dialogues" / f"{code}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))["topics"][topic]["questions"]


def tools_in(value: Any) -> set[str]:
    rows = value if isinstance(value, list) else [value]
    return {row["tool_name"] for row in rows if row.get("agentid") != "final"}


def test_every_row_is_loaded_and_every_system_prompt_used() -> None:
    assert set(DATA) == {"systems", "examples"}
    assert len(MOE) == len(DATA["examples"]) == 5 * len(CODES)
    assert {row["system"] for row in DATA["examples"] if "system" in row} == set(DATA["systems"])


def test_a_language_without_examples_has_none() -> None:
    assert load_moe("xx") == ()


@pytest.mark.parametrize("code", CODES)
def test_each_language_has_the_five_in_order(code: str) -> None:
    beginner, agent, original, further, mixed = load_moe(code)
    assert beginner.prompt in questions(code, "moe")
    assert agent.prompt == ("Write something about Generative AI with MoE, translate it to Chinese")
    assert agent.system == DATA["systems"]["agent"]
    # As the course has it, blank and all.
    assert original.prompt == (
        "Write something about Generative AI with MOE , translate it to Chinese"
    )
    assert original.system == DATA["systems"]["agent_original"]
    assert further.prompt in questions(code, "difference")
    assert "Python" in mixed.prompt
    assert not (beginner.system or further.system or mixed.system)


@pytest.mark.parametrize("example", MOE, ids=lambda one: f"{one.language}-{one.title}")
def test_texts_are_complete_and_in_their_language(example: MoeExample) -> None:
    script = LANGUAGES[example.language].script
    own = [example.title] if example.system else [example.title, example.prompt]
    for text in own:
        # Names such as SLM and Python are Latin letters everywhere.
        names = re.sub("SLM|LLM|MoE|Python", "", text)
        assert script_share(names, script) >= 0.9
    for text in filter(None, (example.title, example.prompt, example.system)):
        assert text == text.strip()
    assert 2 <= len(example.title) <= 40
    assert len(example.prompt) <= 300
    if not example.system:
        assert detect(example.prompt) == LANGUAGES[example.language]


def test_titles_of_a_language_differ_and_no_prompt_is_one_of_the_other_examples() -> None:
    for code in CODES:
        titles = [one.title for one in (*load_moe(code), *EXAMPLES) if one.language == code]
        assert len(titles) == len(set(titles))
    assert not {one.prompt for one in MOE} & {one.prompt for one in EXAMPLES}


def test_the_corrected_prompt_shows_json_with_its_own_tools() -> None:
    blocks = [json.loads(block) for block in FENCED.findall(DATA["systems"]["agent"])]
    assert len(blocks) == 3
    assert set().union(*map(tools_in, blocks)) == TOOLS
    steps = blocks[-1]
    assert [step["agentid"] for step in steps] == ["step1", "step2", "final"]
    assert list(steps[-1]) == ["agentid", "tool_name", "output"]
    assert steps[-1]["tool_name"] == "Result"


def test_the_original_prompt_does_not_and_so_was_corrected() -> None:
    text = DATA["systems"]["agent_original"]
    *calls, steps = FENCED.findall(text)
    assert len(calls) == 2
    assert "Search" in set().union(*(tools_in(json.loads(call)) for call in calls)) - TOOLS
    with pytest.raises(json.JSONDecodeError, match="Expecting ',' delimiter"):
        json.loads(steps)
    for fault in ("calculator tool", "ouput", "Muliti", "The users answer is as follows."):
        assert fault in text
        assert fault not in DATA["systems"]["agent"]


def test_both_prompts_name_the_same_two_tools() -> None:
    for system in DATA["systems"].values():
        assert set(re.findall(r"^- (\w+):", system, re.MULTILINE)) == TOOLS


@pytest.mark.parametrize(
    "row, error",
    [
        ({"language": "en", "title": "a", "prompt": "b", "system": "none"}, KeyError),
        ({"language": "en", "title": "a"}, TypeError),
        ({"language": "en", "title": "a", "prompt": "b", "sytem": "agent"}, TypeError),
    ],
)
def test_a_mistake_in_the_file_is_found(
    row: dict[str, str], error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moe.json").write_text(json.dumps({"systems": {"agent": "x"}, "examples": [row]}))
    monkeypatch.setattr(moe, "files", lambda package: tmp_path)
    with pytest.raises(error):
        load_moe("en")
