"""The language files: what the tasks are made of, and the words by which answers are read."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import ReaderError
from ..languages.table import LANGUAGES

FOLDER = Path(__file__).parent / "languages"


class _Table(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class City(_Table):
    """A city: with its preposition, as in “lives in Rome”, and its bare name."""

    place: str
    name: str


class Questions(_Table):
    """Open questions."""

    questions: tuple[str, ...]


class Told(_Table):
    """The sentence that asks an English question for an answer in another language."""

    ask: str


class SumOne(_Table):
    """Word problems of one step."""

    add: str
    take: str
    times: str
    ask: str


class SumTwo(_Table):
    """Word problems of two steps."""

    add_take: str
    times_add: str
    add_times: str
    ask: str


class Sentences(_Table):
    """Sentences, and what is asked about each."""

    sentences: tuple[str, ...]
    ask: str


class Sentence(_Table):
    """One sentence, and what is asked about it."""

    sentence: str
    ask: str


class YesNo(_Table):
    """Questions about numbers."""

    more: str
    even: str
    sum: str
    ask: str


class Ask(_Table):
    """What is asked, with one place to fill in."""

    ask: str


class ToEnglish(Ask):
    """What is asked for an English word."""

    also: dict[str, tuple[str, ...]] = {}
    """More that the usual word means in English, by the word's key: 姐姐 is an older sister."""


class Format(_Table):
    """Requests for an answer of a certain form."""

    bullets: str
    one_word: str
    question: str
    topics: tuple[str, ...]


class Asks(_Table):
    """Requests that are asked as they are."""

    asks: tuple[str, ...] = ()


class Polite(Asks):
    """Requests for polite letters, and how politeness is told; empty if nothing marks it."""

    formal: tuple[str, ...] = ()
    """Regular expressions of forms that only the polite form has."""
    informal: tuple[str, ...] = ()
    """Regular expressions of forms that do not stand in a polite letter."""


class Texts(_Table):
    """One language file. A table that a language lacks is `None`: it has no items of that kind."""

    locale: str
    """What months, prices and numbers are written by: a locale of CLDR."""
    answer_markers: tuple[str, ...]
    """Words that stand before a final answer."""
    yes: tuple[str, ...]
    no: tuple[str, ...]
    names: tuple[str, ...]
    things: tuple[str, ...]
    cities: tuple[City, ...]
    number_words: tuple[str, ...]
    """From 0 to 99, in order."""
    words: dict[str, tuple[str, ...]] = {}
    """English words, each with those that are right for it, the usual one first."""
    prompts: dict[str, str] = {}
    stays: Questions | None = None
    told: Told | None = None
    sum_one: SumOne | None = None
    sum_two: SumTwo | None = None
    price: Sentences | None = None
    date: Sentences | None = None
    json_: Sentence | None = None
    yes_no: YesNo | None = None
    count: Ask | None = None
    copy_: Sentences | None = None
    to_english: ToEnglish | None = None
    from_english: Ask | None = None
    order: Ask | None = None
    format: Format | None = None
    digits: Ask | None = None
    polite: Polite = Polite()
    code: Asks | None = None


class LanguageFileError(ReaderError, ValueError):
    """A language has no file, or its file cannot be read."""


def path_of(code: str) -> Path:
    """The file of a language, whether there is one or not."""
    return FOLDER / f"{code}.toml"


def available() -> tuple[str, ...]:
    """Codes of the languages that have a file, in the order of the table."""
    return tuple(code for code in LANGUAGES if path_of(code).is_file())


@cache
def texts(code: str) -> Texts:
    """The file of one language. Raises `LanguageFileError`."""
    file = path_of(code)
    if code not in LANGUAGES or not file.is_file():
        raise LanguageFileError(f"There is no language file for “{code}”.")
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
        # Two tables are named like methods of a Pydantic model.
        renamed = {"json_": tables.get("json"), "copy_": tables.get("copy")}
        return Texts.model_validate({**tables, **renamed})
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise LanguageFileError(f"The language file {file.name} is broken: {error}") from error
