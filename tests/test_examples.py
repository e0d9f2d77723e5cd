"""The example prompts: complete, in their own language and script, none twice."""

import json
from pathlib import Path

import pytest

from playground import examples
from playground.examples import EXAMPLES, TASKS, Example, load_examples
from playground.languages import LANGUAGES, detect, script_share

FILES = sorted(
    file for file in Path(examples.__file__).parent.glob("*.json") if file.stem in LANGUAGES
)
CODES = [file.stem for file in FILES]


def name(example: Example) -> str:
    return f"{example.language}-{example.task}"


def test_the_first_four_languages_are_here_and_every_file_is_a_known_language() -> None:
    assert {"en", "es", "zh", "ar"} <= set(CODES) <= set(LANGUAGES)
    assert {example.language for example in EXAMPLES} == set(CODES)


@pytest.mark.parametrize("language", CODES)
def test_every_language_has_the_seven_tasks_once(language: str) -> None:
    assert len(TASKS) == 7
    tasks = [example.task for example in load_examples(language) if example.task != "course"]
    assert tuple(tasks) == TASKS


def test_a_language_without_a_file_has_no_examples() -> None:
    assert load_examples("xx") == ()


def test_the_course_compares_in_chinese() -> None:
    (course,) = [example for example in EXAMPLES if example.task == "course"]
    assert course.language == "zh"
    assert course.prompt == "你知道长沙吗？？"
    assert course.system == "你是我的人工智能助手，协助我用中文解答问题."


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_texts_are_in_the_script_of_their_language(example: Example) -> None:
    script = LANGUAGES[example.language].script
    for text in filter(None, (example.title, example.prompt, example.system)):
        assert script_share(text, script) >= 0.9
        assert text == text.strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_prompts_are_in_their_language_and_titles_short(example: Example) -> None:
    assert detect(example.prompt) == LANGUAGES[example.language]
    assert 2 <= len(example.title) <= 30
    assert len(example.prompt) <= 300


def test_no_text_appears_twice_in_any_language() -> None:
    texts = [text for each in EXAMPLES for text in (each.title, each.prompt, each.system) if text]
    assert len(texts) == len({text.casefold() for text in texts})


def test_examples_come_in_the_order_of_the_languages() -> None:
    order = list(LANGUAGES)
    positions = [order.index(example.language) for example in EXAMPLES]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    "row, error",
    [
        ({"task": "poetry", "title": "a", "prompt": "b"}, ValueError),
        ({"title": "a", "prompt": "b"}, ValueError),
        ({"task": "chat", "title": "a"}, TypeError),
        ({"task": "chat", "title": "a", "prompt": "b", "sytem": "c"}, TypeError),
    ],
)
def test_a_mistake_in_a_file_is_found(
    row: dict[str, str], error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "en.json").write_text(json.dumps([row]))
    monkeypatch.setattr(examples, "files", lambda package: tmp_path)
    with pytest.raises(error):
        load_examples("en")
