"""The languages: their facts, and which one a text is in."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backends import MODELS
from playground import languages
from playground.languages import LANGUAGES, count_words, detect, detection, prose, script_share

ROOT = Path(__file__).parents[1]
TEXTS = json.loads((ROOT / "benchmarks" / "sentences.json").read_text(encoding="utf-8"))


def code(text: str) -> str | None:
    language = detect(text)
    return language.code if language else None


def test_23_languages_are_those_of_phi_35_and_three_are_not() -> None:
    among = [each.code for each in LANGUAGES.values() if each.among_23]
    assert sorted(among) == sorted(MODELS["phi-3.5-mini"].languages)
    assert len(among) == 23
    assert set(LANGUAGES) - set(among) == {"sk", "ro", "sr"}


def test_only_arabic_and_hebrew_run_from_the_right() -> None:
    assert [each.code for each in LANGUAGES.values() if each.direction == "rtl"] == ["ar", "he"]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_own_names_are_written_in_their_script(language: languages.Language) -> None:
    assert script_share(language.own_name, language.script) == 1


@pytest.mark.parametrize("expected", LANGUAGES)
def test_sentences_are_named_rightly_and_short_texts_never_wrongly(expected: str) -> None:
    *short, first, second = TEXTS["ours"][expected]
    assert code(first) == code(second) == expected
    assert all(code(text) in (expected, None) for text in short)
    assert sum(code(text) == expected for text in short) >= 2


def test_norwegian_is_one_language() -> None:
    assert code("Eg veit ikkje kva dette er, men eg vil gjerne lære meg meir om det.") == "no"
    assert code("Jeg vet ikke hva dette er, men jeg vil gjerne lære mer om det.") == "no"


def test_serbian_is_known_in_both_its_alphabets() -> None:
    assert code("Мали језички модели су брзи и не треба им сервер.") == "sr"
    assert code("Pažljivo pročitaj pitanje pre nego što odgovoriš na njega.") == "sr"


@pytest.mark.parametrize("text", ["OK", "Hola", "da", "4 + 4 = 8", "…", "Phi-3.5", "x = y", "\n"])
def test_too_little_to_tell(text: str) -> None:
    assert detect(text) is None


@pytest.mark.parametrize("text", TEXTS["mixed"])
def test_texts_in_two_languages_stay_undecided(text: str) -> None:
    assert detect(text) is None


def test_most_texts_in_other_languages_stay_undecided() -> None:
    texts = [text for each in TEXTS["others"].values() for text in each]
    assert sum(detect(text) is None for text in texts) >= 0.95 * len(texts)


@pytest.mark.parametrize("expected, text", TEXTS["code"])
def test_code_and_addresses_do_not_count(expected: str, text: str) -> None:
    assert code(text) == expected


def test_code_of_an_answer_that_was_stopped_does_not_count() -> None:
    text = "Aquí tienes el programa que pediste:\n```python\n# this prints the names of all files"
    assert code(text) == "es"


def test_a_text_of_code_only_has_no_language() -> None:
    assert detect("```\nthe small model can run on your phone\n```") is None


def test_a_few_foreign_words_do_not_change_the_language() -> None:
    assert code("Phi-3-mini 和 Phi-3.5-mini 都是微软发布的小型语言模型，可以在手机上运行。") == "zh"
    assert code("東京は日本の首都です。中国語では「东京」と書きます。") == "ja"
    assert code("日文里的「の」相当于中文里的“的”，这是初学者常常会问到的问题。") == "zh"
    assert (
        code("Das englische Wort „prompt“ heißt auf Deutsch ungefähr Eingabe oder Anfrage.") == "de"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "😀" * 50,
        "\ud800" * 50,
        "\x00\x01\x07" * 50,
        "\u202e\u200f\ufeff",
        "`" * 100_000,
        "```\n" * 50_000,
        "~~~" * 50_000,
        "a@" * 100_000,
        "\u0301" * 100_000,
        "9" * 200_000,
    ],
    ids=lambda text: repr(text[:4]),
)
def test_what_is_no_prose_has_no_language(text: str) -> None:
    assert detect(text) is None


def test_broken_characters_do_not_hide_the_language() -> None:
    assert code("Le petit modèle \ud83d tourne\x00 sur votre\ufffd téléphone portable.") == "fr"


def test_only_the_beginning_of_a_long_text_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []
    real = detection.identifier()

    class Counting:
        def rank(self, text: str) -> list[tuple[str, float]]:
            judged.append(len(text))
            return real.rank(text)

    monkeypatch.setattr(detection, "identifier", Counting)
    assert code("The small model can run on your phone. " * 10_000) == "en"
    assert sum(judged) <= 2 * prose.MAX_CLASSIFIED


def test_the_library_is_imported_only_when_it_is_needed() -> None:
    script = (
        "import sys; from playground.languages import detect; detect('ขอบคุณมากครับ');"
        "sys.exit('py3langid' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


def test_script_share() -> None:
    assert script_share("Привет, мир!", "Cyrillic") == 1
    assert script_share("ab бв", "Latin") == 0.5
    assert script_share("日本語のテキスト", "Japanese") == 1
    assert script_share("日本語", "Han") == 1
    assert script_share("123 …", "Latin") == 0
    assert script_share("Καλημέρα", "Other") == 1


@pytest.mark.parametrize(
    "text, number, unit",
    [
        ("", 0, "words"),
        ("Hello, world - it's 3.5 ok!", 5, "words"),
        ("مرحباً بكم في الدرس", 4, "words"),
        ("안녕하세요 여러분", 2, "words"),
        ("你好，世界！", 4, "characters"),
        ("Phi-3.5 是小模型。", 5, "characters"),
        ("こんにちは", 5, "characters"),
        ("ขอบคุณ", 5, "characters"),
        ("The word for hello is 你好.", 7, "words"),
        ("😀 ---", 0, "words"),
    ],
)
def test_length_is_counted_as_readers_of_the_script_do(text: str, number: int, unit: str) -> None:
    assert count_words(text) == (number, unit)
