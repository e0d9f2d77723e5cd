"""The language that a prompt asks for, what an answer to it may be in, and what the page says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from playground.answer import AnswerSnapshot
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.examples import EXAMPLES, answer_language
from playground.examples.moe import load_moe
from playground.languages import LANGUAGES, demanded, expect, mentions, stays
from playground.numbers import other_language

ROOT = Path(__file__).parents[1]
REQUESTS = json.loads((ROOT / "tests" / "data" / "requests.json").read_text(encoding="utf-8"))
ANSWERS = json.loads((ROOT / "benchmarks" / "answers_tuning.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_asks_for_every_other(language: str) -> None:
    before, *named = REQUESTS["answer"][language]
    assert len(named) == len(LANGUAGES)
    for code, name in zip(LANGUAGES, named, strict=True):
        assert demanded(before.replace("{}", name)) == code, before.replace("{}", name)


@pytest.mark.parametrize("code, prompt", REQUESTS["demanded"])
def test_what_is_asked_for_in_other_words(code: str, prompt: str) -> None:
    assert demanded(prompt) == code


@pytest.mark.parametrize("prompt", REQUESTS["not demanded"])
def test_a_language_that_is_only_spoken_of_is_not_asked_for(prompt: str) -> None:
    assert demanded(prompt) is None


def test_a_language_that_an_answer_may_be_in_is_named() -> None:
    assert [each.code for each in mentions("What is tea called in Thai?")] == ["th"]
    assert mentions("Who lives in Thai villages?") == ()


def test_what_a_request_is_about_asks_for_nothing() -> None:
    assert demanded("Translate into French: Please answer in German.") == "fr"
    assert demanded("Translate “answer in German” for me.") is None
    long = "The teacher spoke for an hour. " * 200
    assert demanded(f"Answer in Polish. {long}") == demanded(f"{long} Answer in Polish.") == "pl"
    assert demanded(f"{long} Answer in Polish. {long}") is None


@pytest.mark.parametrize(
    "prompt", ["", "\x00", "in " * 50_000, "auf" * 50_000, "用" * 50_000, "“" * 9]
)
def test_any_prompt_is_read(prompt: str) -> None:
    assert demanded(prompt) is None


def test_the_data_is_read_only_when_it_is_needed() -> None:
    script = (
        "import sys; import playground.languages;"
        "sys.exit('py3langid' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


# ── What is expected of an answer ──────────────────────────────────────────────────────────────


def verdict(prompt: str, answer: str, **more: object) -> str:
    return expect(prompt, **more).judge(answer)  # type: ignore[arg-type]


ENGLISH = "The moon shines because it reflects the light of the sun."
GERMAN = "Der Mond leuchtet, weil er das Licht der Sonne zurückwirft."
CHINESE = "月亮会发光，是因为它反射太阳的光。"


def test_the_prompts_own_language_is_expected() -> None:
    assert verdict("Why does the moon shine at night?", ENGLISH) == "stayed"
    assert verdict("Why does the moon shine at night?", GERMAN) == "left"
    assert verdict("42", ENGLISH) == "undecided"


def test_a_language_that_is_asked_for_comes_first() -> None:
    assert verdict("Why does the moon shine? Answer in German.", GERMAN) == "stayed"
    assert verdict("Why does the moon shine? Answer in German.", ENGLISH) == "left"
    assert verdict("为什么月亮会发光？请用英语回答。", ENGLISH) == "stayed"
    assert verdict("为什么月亮会发光？请用英语回答。", CHINESE) == "left"


def test_a_system_prompt_asks_unless_the_prompt_does() -> None:
    system = "Answer in Chinese."
    assert verdict("Why does the moon shine at night?", CHINESE, system=system) == "stayed"
    assert verdict("Why does the moon shine at night?", ENGLISH, system=system) == "left"
    asked = "Why does the moon shine? Answer in German."
    assert verdict(asked, GERMAN, system=system) == "stayed"
    assert verdict(asked, CHINESE, system=system) == "left"


def test_what_was_asked_for_earlier_may_hold_on() -> None:
    prompt = "And why does it shine at night?"
    assert verdict(prompt, GERMAN, earlier=["de"]) == "undecided"
    assert verdict(prompt, ENGLISH, earlier=["de"]) == "stayed"
    assert verdict(prompt, CHINESE, earlier=["de"]) == "left"


@pytest.mark.parametrize(
    "prompt, answer",
    [
        ("What is tea called in Thai?", "ชา"),
        ("How do you say good morning in Spanish?", "Se dice buenos días, señora."),
        ("“早上好”用英语怎么说？", "You say good morning to people."),
        ("Say hello in English, Spanish and Arabic.", "¡Hola a todos! مرحبا بكم جميعا"),
        ("Write about rain in German or in Chinese.", CHINESE),
    ],
)
def test_a_language_that_is_named_is_no_mistake(prompt: str, answer: str) -> None:
    assert verdict(prompt, answer) != "left"


@pytest.mark.parametrize(
    "answer",
    [
        "¡Buenos días! El café está listo.",
        "In Spanish: “¡Buenos días! El café está listo.”",
        "Sure, here is the translation into Spanish:\n\n¡Buenos días! El café está listo.",
        "Good morning! The coffee is ready. → **¡Buenos días! El café está listo.**",
    ],
)
def test_a_translation_may_hold_both_languages(answer: str) -> None:
    asked = "Translate into Spanish: Good morning! The coffee is ready."
    assert verdict(asked, answer) in ("stayed", "undecided")
    assert verdict(asked, "Good morning to you, and thank you for the coffee.") == "left"


TRANSLATIONS = {
    "en": ("¡Buenos días! El café está listo.", "es"),
    "es": ("Good afternoon, where is the library?", "en"),
    "zh": ("The weather is lovely today, let's take a walk in the park.", "en"),
    "ar": ("Welcome to our city.", "en"),
}


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_the_pages_own_translations_are_no_mistakes(language: str) -> None:
    (example,) = [one for one in EXAMPLES if (one.language, one.task) == (language, "translation")]
    answer, code = TRANSLATIONS[language]
    assert example.answer_in == answer_language(example.prompt) == demanded(example.prompt) == code
    assert verdict(example.prompt, answer, answer_in=example.answer_in) == "stayed"


def test_other_examples_ask_for_their_own_language() -> None:
    rest = [one for one in EXAMPLES if one.task != "translation"]
    assert all(one.answer_in is None and mentions(one.prompt) == () for one in rest)
    assert answer_language("Any other prompt") is None


@pytest.mark.parametrize("language", ["en", "es", "zh", "ar"])
def test_the_courses_agent_is_asked_for_chinese_by_its_prompt_alone(language: str) -> None:
    for example in load_moe(language):
        assert demanded(example.system or "") is None
        if example.system:
            steps = '[{"agentid": "final", "tool_name": "Result", "output": "A text in English."}]'
            assert demanded(example.prompt) == "zh"
            assert verdict(example.prompt, steps, system=example.system) == "undecided"


# ── Stayed or left ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", LANGUAGES)
def test_answers_stay_in_their_language(code: str) -> None:
    texts = {kind: text for kind, text in ANSWERS[code].items() if kind != "half English"}
    verdicts = [stays(text, code) for text in texts.values()]
    assert "left" not in verdicts and verdicts.count("undecided") <= 1
    assert stays(ANSWERS[code]["half English"], code) != "left"


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_english_answers_left_every_other_language(code: str) -> None:
    texts = [text for kind, text in ANSWERS["en"].items() if kind not in ("half English", "short")]
    assert {stays(text, code) for text in texts} == {"left"}


@pytest.mark.parametrize("pair", ["cs sk", "da no", "es pt", "uk ru", "ru sr", "uk sr", "zh ja"])
def test_near_languages_are_told_apart(pair: str) -> None:
    one, other = pair.split()
    for answered, asked in ((one, other), (other, one)):
        assert stays(ANSWERS[answered]["two sentences"], asked) == "left"


@pytest.mark.parametrize(
    "text, asked",
    [
        ("Gone with the Wind", "fr"),
        ("1. Let It Be\n2. Here Comes the Sun\n3. Yellow Submarine", "de"),
        ("Microsoft, Google DeepMind, OpenAI", "it"),
        ("42", "es"),
        ("OK", "cs"),
        ('```\nprint("the small model can run on your phone")\n```', "ru"),
        ('saludo = "Hola, ¿cómo estás hoy?"\nprint(saludo)', "en"),
        ('{"answer": "the small model can run on your phone"}', "fi"),
        ("", "en"),
    ],
)
def test_names_numbers_code_and_titles_leave_no_language(text: str, asked: str) -> None:
    assert stays(text, asked) != "left"


def test_a_quotation_does_not_count() -> None:
    text = "Er sagte: „The small model can run on your phone without any network at all“ und ging."
    assert stays(text, "de") == "stayed"
    assert stays(text, "en") == "left"


def test_serbian_may_be_written_in_both_its_alphabets() -> None:
    text = "Pažljivo pročitaj pitanje pre nego što odgovoriš na njega."
    assert stays(text, "sr") == "stayed" and stays(text, "cs") == "left"


def test_an_answer_in_none_of_the_languages_has_left() -> None:
    assert stays("Καλημέρα σας, πώς είστε σήμερα; Όλα πάνε πολύ καλά.", "en") == "left"


@pytest.mark.parametrize("kanji", ["東京", "富士山", "了解", "株式会社山田商店"])
def test_letters_that_chinese_and_japanese_share_stay_in_both(kanji: str) -> None:
    assert stays(kanji, "ja") == stays(kanji, "zh") == "stayed"


def test_an_unknown_language_is_undecided() -> None:
    assert stays("Any text that is long enough to be told.", "xx") == "undecided"


# ── Records, and what the page says ────────────────────────────────────────────────────────────


async def record(prompt: str, answer: str, system: str = "") -> tuple[AnswerRecord, Turn]:
    conversation = Conversation(system=system, turns=(Turn(prompt=prompt),))
    expected = await conversation.expectation()
    turn = conversation.expecting(expected).last
    assert turn is not None
    return await AnswerRecord.of(AnswerSnapshot("done", answer), "m", "b", expected), turn


@pytest.mark.parametrize(
    "prompt, answer, sentence",
    [
        ("Why does the moon shine at night?", GERMAN, "Answered in German; you asked in English"),
        ("Why? Answer in Spanish.", ENGLISH, "Answered in English; Spanish was asked for"),
        ("Why does the moon shine at night?", "Καλημέρα σας, πώς είστε σήμερα;",
         "Not answered in English"),
        ("Why does the moon shine at night?", ENGLISH, ""),
        ("Why does the moon shine at night?", "Ja.", ""),
        ("Translate into Spanish: Good morning!", "¡Buenos días!", ""),
    ],
)  # fmt: skip
async def test_a_warning_says_which_language_was_expected(
    prompt: str, answer: str, sentence: str
) -> None:
    assert other_language(*await record(prompt, answer)) == sentence


async def test_a_side_may_be_asked_for_another_language() -> None:
    conversation = Conversation(turns=(Turn(prompt="Why does the moon shine at night?"),))
    turn = conversation.expecting(await conversation.expectation()).turns[0]
    expected = await conversation.expectation("Answer in German.")
    for text, sentence in (
        (ENGLISH, "Answered in English; German was asked for"),
        (GERMAN, ""),
    ):
        made = await AnswerRecord.of(
            AnswerSnapshot("done", text), "m", "b", expected, own_system="Answer in German."
        )
        assert (made.demanded, turn.demanded) == ("de", None)
        assert other_language(made, turn) == sentence


async def test_records_keep_what_was_asked_for_and_the_verdict() -> None:
    made, turn = await record("Why? Answer in Spanish.", ENGLISH)
    assert (made.language, made.adherence) == ("en", "left")
    assert turn.demanded == "es"
    assert Turn.model_validate_json(turn.model_dump_json()) == turn
    assert AnswerRecord.model_validate_json(made.model_dump_json()) == made


async def test_a_later_prompt_allows_what_an_earlier_one_asked_for() -> None:
    turns = (Turn(prompt="From now on answer in German.", demanded="de"),
             Turn(prompt="Why does the moon shine at night?"))  # fmt: skip
    expected = await Conversation(turns=turns).expectation()
    assert (expected.prompt, expected.demanded, expected.allowed) == ("en", None, {"de"})


def test_a_record_of_an_earlier_version_has_no_verdict() -> None:
    old = AnswerRecord.model_validate({"model": "m", "backend": "b", "text": "x", "language": "de"})
    assert old.adherence is None
    assert other_language(old, Turn(prompt="x", language="en")) == ""
