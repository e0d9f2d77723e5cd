"""The items of the matrix: the same in every language, made from the seed alone."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from playground.languages.table import LANGUAGES
from playground.matrix import texts
from playground.matrix.items import KINDS, PROMPTS, Item, Kind
from playground.matrix.tasks import blocks, items, making, own_prompts, shipped_prompts
from playground.matrix.texts import LanguageFileError, available

NUMBER_KINDS: tuple[Kind, ...] = ("sum_one", "sum_two", "order", "yes_no", "digits")


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A second language: the English file with another locale, and without some tables."""
    source = (texts.FOLDER / "en.toml").read_text("utf-8")
    (tmp_path / "en.toml").write_text(source, "utf-8")
    other = source.replace('locale = "en_US"', 'locale = "de_DE"')
    other = other.replace("How many are there now?", "Wie viele sind es jetzt?")
    other = other.replace("[digits]", "[digits_not_there]")
    other = other.replace(
        "[polite]",
        '[polite]\nasks = ["Schreiben Sie einen Brief."]\nformal = ["Sie"]\ninformal = ["du"]',
    )
    (tmp_path / "de.toml").write_text(other, "utf-8")
    monkeypatch.setattr(texts, "FOLDER", tmp_path)
    texts.texts.cache_clear()
    yield tmp_path
    texts.texts.cache_clear()


def of(kind: Kind, count: int = 12, seed: int = 1, language: str = "en") -> list[Item]:
    return list(items([kind], [language], count, seed))


def test_the_same_seed_makes_the_same_items_and_another_one_others() -> None:
    assert list(items(KINDS, ["en"], 12, 1)) == list(items(KINDS, ["en"], 12, 1))
    for kind in NUMBER_KINDS:
        assert of(kind, seed=1) != of(kind, seed=2)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("polite", "json")])
def test_an_item_does_not_depend_on_how_many_are_asked(kind: Kind) -> None:
    assert of(kind, 3) == of(kind, 12)[:3]


def test_there_is_an_item_of_every_kind_that_english_has() -> None:
    assert {item.kind for item in items(KINDS, ["en"], 1, 1)} == set(KINDS) - {
        "polite",  # English marks no politeness
        "to_english",  # English to English is no task
        "from_english",
    }


def test_nothing_is_asked_twice(german: Path) -> None:
    for kind in KINDS:
        prompts = [item.prompt for item in of(kind, 200, language="de")]
        if kind in ("stays", "told", "copy", "to_english", "from_english", "format", "code"):
            assert len(prompts) == len(set(prompts)) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_slot_is_left_open(kind: Kind, german: Path) -> None:
    for item in items([kind], ["en", "de"], 30, 3):
        if kind != "json":
            assert "{" not in item.prompt
        assert item.prompt and item.english
        assert ".." not in item.prompt


def test_all_languages_have_the_same_numbers_names_and_things(german: Path) -> None:
    for kind in ("sum_one", "sum_two", "json", "count", "order", "yes_no", "date"):
        english, other = of(kind), of(kind, language="de")
        assert [one.expected for one in english] == [one.expected for one in other]
        assert [one.english for one in english] == [one.english for one in other]
    assert "Wie viele" in next(
        one.prompt for one in of("sum_one", 30, language="de") if "Wie" in one.prompt
    )


def test_items_come_index_by_index_over_all_languages(german: Path) -> None:
    every = list(items(["order", "stays"], ["en", "de"], 2, 1))
    assert [(one.index, one.kind, one.language) for one in every] == [
        (0, "order", "en"),
        (0, "order", "de"),
        (0, "stays", "en"),
        (0, "stays", "de"),
        (1, "order", "en"),
        (1, "order", "de"),
        (1, "stays", "en"),
        (1, "stays", "de"),
    ]
    assert [len(block) for block in blocks(every)] == [2, 2, 2, 2]
    assert [one for block in blocks(every) for one in block] == every


def test_a_kind_that_a_language_lacks_has_no_item_there(german: Path) -> None:
    made = {(one.kind, one.language) for one in items(["digits", "polite"], ["en", "de"], 3, 1)}
    assert made == {("digits", "en"), ("polite", "de")}


@pytest.mark.parametrize("seed", range(5))
def test_sums_are_right_and_never_below_zero(seed: int) -> None:
    for item in of("sum_one", 60, seed):
        a, b = [int(word) for word in item.prompt.split() if word.isdecimal()][:2]
        assert item.expected in {a + b, a - b, a * b}
        assert isinstance(item.expected, int) and item.expected > 0
    for item in of("sum_two", 60, seed):
        a, b, c = [int(word) for word in item.prompt.split() if word.isdecimal()][:3]
        assert item.expected in {a + b - c, a * b + c, (a + b) * c}
        assert {a, b, c} <= set(range(5, 11))


@pytest.mark.parametrize("seed", range(5))
def test_half_of_the_questions_are_to_be_answered_yes(seed: int) -> None:
    made = of("yes_no", 12, seed)
    assert sum(item.expected is True for item in made) == 6
    for item in made:
        words = item.prompt.replace("?", "").split()
        numbers = [int(word) for word in words if word.isdecimal()]
        if "even" in words:
            assert item.expected is (numbers[0] % 2 == 0)
        elif "equal" in words:
            assert item.expected is (numbers[0] + numbers[1] == numbers[2])
        else:
            assert item.expected is (numbers[0] > numbers[1])


def test_prices_are_written_as_they_are_there_and_expected_as_a_plain_number(german: Path) -> None:
    english, other = of("price", 30), of("price", 30, language="de")
    assert all("$" in item.prompt for item in english)
    assert all("€" in item.prompt for item in other)
    assert [one.expected for one in english] == [one.expected for one in other]
    for item in english:
        assert isinstance(item.expected, str)
        assert f"${float(item.expected):,.2f}" in item.prompt
        assert not item.expected.endswith("0")
    assert any("." in item.prompt.split("€")[0].split(",")[0].split()[-1] for item in other)


@pytest.mark.parametrize(
    ("locale", "written"),
    [
        ("en_US", "$1,234.50"),
        ("de_DE", "1.234,50\xa0€"),
        ("es_ES", "1234,50\xa0€"),
        ("hu_HU", "1\xa0234\xa0Ft"),
        ("ja_JP", "￥1,234"),
        ("th_TH", "฿1,234.50"),
        ("ar_EG", "١٬٢٣٤٫٥٠\xa0ج.م."),
        ("da", "1.234,50\xa0kr."),
    ],
)
def test_a_price_in_many_places(
    locale: str, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, german: Path
) -> None:
    source = (german / "de.toml").read_text("utf-8").replace('"de_DE"', f'"{locale}"')
    (german / "de.toml").write_text(source, "utf-8")

    class Fixed(Random):
        def randint(self, a: int, b: int) -> int:
            return {1001: 1234, 5: 50}[a]

        def random(self) -> float:
            return 0.0

    monkeypatch.setattr(making, "Random", Fixed)
    [item] = of("price", 1, language="de")
    assert written in item.prompt
    assert item.expected == ("1234" if written.endswith(("Ft", "1,234")) else "1234.5")


def test_dates_are_real_and_in_the_gregorian_calendar() -> None:
    for item in of("date", 60):
        year, month, day = str(item.expected).split("-")
        assert f"{int(day)}, {year}" in item.prompt
        assert len(month) == len(day) == 2


def test_answers_have_a_language_where_they_are_words(german: Path) -> None:
    languages = {one.kind: one.answer_language for one in items(KINDS, ["de"], 1, 1)}
    assert languages["stays"] == languages["told"] == languages["copy"] == "de"
    assert languages["to_english"] == "en"
    assert languages["sum_one"] is languages["price"] is languages["json"] is None


def test_told_asks_in_english_for_the_language(german: Path) -> None:
    for item in of("told", language="de"):
        assert item.prompt == item.english
        assert item.prompt.endswith("Answer in German.")


def test_the_code_and_from_english_name_the_language_in_the_english_prompt(german: Path) -> None:
    assert all("German" in one.english for one in items(["code", "from_english"], ["de"], 3, 1))


def test_own_prompts_are_open_questions_in_their_languages() -> None:
    made = own_prompts({"de": " Was ist ein\x00 Modell? ", "en": "What?", "xx": "?", "fr": "  "})
    assert [(one.id, one.prompt, one.english) for one in made] == [
        ("stays/de/0", "Was ist ein Modell?", "What?"),
        ("stays/en/0", "What?", "What?"),
    ]
    assert [one.answer_language for one in made] == ["de", "en"]


def test_the_shipped_prompts_come_prompt_by_prompt() -> None:
    made = shipped_prompts(["en"])
    assert [one.id for one in made] == [f"stays/en/{index}" for index in range(7)]
    assert len({one.prompt for one in made}) == 7
    assert len(shipped_prompts(["en"], ["explain"])) == 1


def test_a_language_without_a_file_is_said_so() -> None:
    with pytest.raises(LanguageFileError, match="no language file"):
        list(items(["stays"], ["xx"], 1, 1))
    with pytest.raises(LanguageFileError):
        texts.texts("../../../etc/passwd")


def test_a_broken_file_is_said_so(german: Path) -> None:
    (german / "de.toml").write_text("names = [", "utf-8")
    texts.texts.cache_clear()
    with pytest.raises(LanguageFileError, match=r"de\.toml is broken"):
        list(items(["stays"], ["de"], 1, 1))


@pytest.mark.parametrize("code", available())
def test_every_language_file_makes_items(code: str) -> None:
    made = list(items(KINDS, [code], 12, 1))
    assert {one.kind for one in made} >= {"stays", "sum_one", "price", "date", "json", "digits"}
    assert all(one.prompt and one.english for one in made)
    assert LANGUAGES[code]
    own = texts.texts(code)
    assert len(own.number_words) == 100
    assert set(own.words) == set(texts.texts("en").words)
    assert set(own.prompts) == set(PROMPTS)
