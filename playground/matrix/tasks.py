"""The tasks: items of every kind in every language, made from the language files by a seed."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal
from random import Random
from typing import TypeVar

from ..languages.table import LANGUAGES
from ..text import strip_controls
from .items import Expected, Item, Kind
from .texts import Texts, texts

PROMPTS = ("greet", "explain", "list", "letter", "story", "recipe", "advice")
"""The shipped prompts, by their names in the language files."""
SPEAKING: frozenset[Kind] = frozenset(("stays", "told"))
"""Kinds that say whether a model answers in a language at all: open questions, long answers."""

_FULL_WIDTH_ENDS = tuple("。？！")
"""After these no space is written."""
_LIST_SEPARATORS = {"zh": "、", "ja": "、", "ar": "، "}
_WEEKDAYS = frozenset(
    ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
)
_FOUR_DIGITS_UNGROUPED = frozenset(("es", "es_ES", "pl", "pl_PL", "pt", "pt_PT"))
"""Where CLDR's `minimumGroupingDigits` is 2, which Babel does not know: 1234, but 12.345."""
_DIRECTION_MARKS = re.compile("[\u200e\u200f\u061c]")
_ARABIC_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
_FORMS = ((0, "bullets"), (1, "question"))
"""The forms that have topics; the second one is asked about the next topic."""
_SLOT = re.compile(r"\{(\w+)\}(\.?)")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Made:
    """What is asked, and the right answer."""

    prompt: str
    english: str
    expected: Expected = None


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of an item among all: what its numbers, names and things are drawn by.

    No draw looks at the language, so that all languages have the same.
    """

    kind: Kind
    code: str
    index: int
    seed: int

    def random(self) -> Random:
        """The item's own numbers."""
        return Random(f"{self.seed}/{self.kind}/{self.index}")

    def in_turn(self, count: int) -> int | None:
        """The place in a list of `count` that is asked now; `None` once all were asked."""
        if self.index >= count:
            return None
        return Random(f"{self.seed}/{self.kind}").sample(range(count), count)[self.index]


Make = Callable[[Texts, _Place], "_Made | None"]
"""Makes an item of a language's texts; `None` if the language has none at that place."""


def items(kinds: Sequence[Kind], languages: Sequence[str], count: int, seed: int) -> Iterator[Item]:
    """The items of some kinds in some languages: `count` of each, or as many as there are.

    They come index by index, kind by kind: what was asked of one language when a run is stopped was
    asked of all. An open question, a sentence or a word is asked once: asking it again would say
    nothing new. Raises `LanguageFileError`.
    """
    for code in languages:
        texts(code)
    for index in range(count):
        for kind in kinds:
            for code in languages:
                if item := _item(kind, code, index, seed):
                    yield item


def blocks(every: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    """The same items in blocks: one index of one kind, in all languages."""
    block: list[Item] = []
    for item in every:
        if block and (item.index, item.kind) != (block[0].index, block[0].kind):
            yield tuple(block)
            block = []
        block.append(item)
    if block:
        yield tuple(block)


def own_prompts(rows: Mapping[str, str]) -> tuple[Item, ...]:
    """A visitor's own texts by language code, each an open question in its language.

    Texts that are empty, and languages that are not in the table, are left out.
    """
    clean = {code: strip_controls(text).strip() for code, text in rows.items()}
    english = clean.get("en", "")
    return tuple(
        Item("stays", code, 0, text, english, None, code)
        for code, text in clean.items()
        if text and code in LANGUAGES
    )


def shipped_prompts(languages: Sequence[str], names: Sequence[str] = PROMPTS) -> tuple[Item, ...]:
    """The prompts of the language files as open questions, prompt by prompt over all languages."""
    english = texts("en").prompts
    return tuple(
        Item("stays", code, index, prompt, english[name], None, code)
        for index, name in enumerate(names)
        for code in languages
        if (prompt := texts(code).prompts.get(name))
    )


def _item(kind: Kind, code: str, index: int, seed: int) -> Item | None:
    make, answered_in = _MAKERS[kind]
    made = make(texts(code), _Place(kind, code, index, seed))
    if made is None:
        return None
    answer_language = code if answered_in == "own" else answered_in
    return Item(kind, code, index, made.prompt, made.english, made.expected, answer_language)


def _stays(own: Texts, place: _Place) -> _Made | None:
    english = _english().stays
    if own.stays is None or english is None:
        return None
    at = place.in_turn(len(english.questions))
    if at is None or at >= len(own.stays.questions):
        return None
    return _Made(own.stays.questions[at], english.questions[at])


def _told(own: Texts, place: _Place) -> _Made | None:
    english = _english()
    if english.told is None or english.stays is None:
        return None
    at = place.in_turn(len(english.stays.questions))
    if at is None:
        return None
    language = LANGUAGES[place.code].english_name
    prompt = _fill(english.told.ask, question=english.stays.questions[at], language=language)
    return _Made(prompt, prompt)


def _sum_one(own: Texts, place: _Place) -> _Made | None:
    random = place.random()
    form = random.choice(("add", "take", "times"))
    a, b = random.randint(5, 10), random.randint(5, 10)
    if form == "take":
        a = random.randint(6, 10)
        b = random.randint(5, a - 1)
    name, thing = random.randrange(100), random.randrange(100)
    right = {"add": a + b, "take": a - b, "times": a * b}[form]

    def write(of: Texts) -> str | None:
        if (table := of.sum_one) is None:
            return None
        template = {"add": table.add, "take": table.take, "times": table.times}[form]
        sentence = _fill(
            template, a=a, b=b, name=_entry(of.names, name), thing=_entry(of.things, thing)
        )
        return _joined(sentence, table.ask)

    return _both(own, write, right)


def _sum_two(own: Texts, place: _Place) -> _Made | None:
    random = place.random()
    form = random.choice(("add_take", "times_add", "add_times"))
    a, b, c = (random.randint(5, 10) for _ in range(3))
    name, thing = random.randrange(100), random.randrange(100)
    right = {"add_take": a + b - c, "times_add": a * b + c, "add_times": (a + b) * c}[form]

    def write(of: Texts) -> str | None:
        if (table := of.sum_two) is None:
            return None
        template = {
            "add_take": table.add_take,
            "times_add": table.times_add,
            "add_times": table.add_times,
        }[form]
        sentence = _fill(
            template, a=a, b=b, c=c, name=_entry(of.names, name), thing=_entry(of.things, thing)
        )
        return _joined(sentence, table.ask)

    return _both(own, write, right)


def _price(own: Texts, place: _Place) -> _Made | None:
    random = place.random()
    thousands = random.random() < 0.6  # so that both separators are asked for in most prices
    whole = random.randint(1001, 9899) if thousands else random.randint(11, 989)
    amount = whole + Decimal(random.randint(5, 95)) / 100
    sentence = random.randrange(100)
    from babel.numbers import get_currency_precision

    currency = _currency(own.locale)
    unit = Decimal(1).scaleb(-get_currency_precision(currency))
    amount = amount.quantize(unit, ROUND_DOWN)

    def write(of: Texts) -> str | None:
        if of.price is None:
            return None
        written = _written_price(amount, currency, of.locale)
        return _joined(_fill(_entry(of.price.sentences, sentence), price=written), of.price.ask)

    return _both(own, write, plain_decimal(amount))


def _date(own: Texts, place: _Place) -> _Made | None:
    random = place.random()
    day = date(1950, 1, 1) + timedelta(days=random.randrange(365 * 75))
    sentence = random.randrange(100)

    def write(of: Texts) -> str | None:
        if of.date is None:
            return None
        from babel.dates import format_date

        written = _as_typed(format_date(day, "long", locale=of.locale), of.locale)
        return _joined(_fill(_entry(of.date.sentences, sentence), date=written), of.date.ask)

    return _both(own, write, day.isoformat())


def _json(own: Texts, place: _Place) -> _Made | None:
    random = place.random()
    name, age, city = random.randrange(100), random.randint(25, 29), random.randrange(100)

    def write(of: Texts) -> str | None:
        if of.json_ is None:
            return None
        where = _entry(of.cities, city).place
        sentence = _fill(of.json_.sentence, name=_entry(of.names, name), age=age, place=where)
        return _joined(sentence, of.json_.ask)

    right = {"name": _entry(own.names, name), "age": age, "city": _entry(own.cities, city).name}
    return _both(own, write, right)


def _yes_no(own: Texts, place: _Place) -> _Made | None:
    # Of two items in a row one is true: who always says yes is right in half of them.
    pair, second = divmod(place.index, 2)
    form = ("more", "even", "sum")[pair % 3]
    truth = Random(f"{place.seed}/yes_no/pair/{pair}").random() < 0.5
    truth = not truth if second else truth
    random = place.random()
    x, y = sorted(random.sample(range(2, 100), 2), reverse=truth)
    z = 0
    if form == "even":
        x = 2 * random.randint(1, 49) + (0 if truth else 1)
    elif form == "sum":
        x, y = random.randint(2, 50), random.randint(2, 49)
        z = x + y + (0 if truth else random.choice((-2, -1, 1, 2)))

    def write(of: Texts) -> str | None:
        if (table := of.yes_no) is None:
            return None
        template = {"more": table.more, "even": table.even, "sum": table.sum}[form]
        return _joined(_fill(template, x=x, y=y, z=z), table.ask)

    return _both(own, write, truth)


def _count(own: Texts, place: _Place) -> _Made | None:
    # Weekdays are two words in some languages, and then there would be two right answers.
    english = [word for word in _english().words if word not in _WEEKDAYS]
    random = place.random()
    chosen = random.sample(english, random.randint(3, 9))

    def write(of: Texts, code: str = place.code) -> str | None:
        if of.count is None or any(word not in of.words for word in chosen):
            return None
        return _fill(of.count.ask, list=_list([of.words[word][0] for word in chosen], code))

    return _both(own, write, len(chosen))


def _copy(own: Texts, place: _Place) -> _Made | None:
    english = _english().copy_
    if own.copy_ is None or english is None:
        return None
    at = place.in_turn(len(english.sentences))
    if at is None or at >= len(own.copy_.sentences):
        return None
    sentence = own.copy_.sentences[at]
    asked = _fill(own.copy_.ask, sentence=sentence)
    return _Made(asked, _fill(english.ask, sentence=sentence), sentence)


def _to_english(own: Texts, place: _Place) -> _Made | None:
    english = _english()
    key = _word(place)
    if key is None or own.to_english is None or english.to_english is None:
        return None
    if place.code == "en" or key not in own.words:  # English to English is no task
        return None
    word = own.words[key][0]
    asked = _fill(own.to_english.ask, word=word)
    return _Made(asked, _fill(english.to_english.ask, word=word), english.words[key])


def _from_english(own: Texts, place: _Place) -> _Made | None:
    english = _english().from_english
    key = _word(place)
    if key is None or own.from_english is None or english is None:
        return None
    if place.code == "en" or key not in own.words:
        return None
    ask = _with_language(english.ask, place.code)
    return _Made(_fill(own.from_english.ask, word=key), _fill(ask, word=key), own.words[key])


def _order(own: Texts, place: _Place) -> _Made | None:
    random = place.random()
    numbers = random.sample(range(10, 100), 5)
    while numbers == sorted(numbers):
        random.shuffle(numbers)
    right = tuple(sorted(numbers))

    def write(of: Texts, code: str = place.code) -> str | None:
        if of.order is None:
            return None
        return _fill(of.order.ask, numbers=_list([str(number) for number in numbers], code))

    return _both(own, write, right)


def _format(own: Texts, place: _Place) -> _Made | None:
    english = _english().format
    if english is None:
        return None
    topics = len(english.topics)
    shuffled = Random(f"{place.seed}/format").sample(range(topics), topics)
    asked = [(form, (at + shift) % topics) for at in range(topics) for shift, form in _FORMS]
    asked.insert(1, ("one_word", 0))
    if place.index >= len(asked):
        return None
    form, at = asked[place.index]

    def write(of: Texts) -> str | None:
        if (table := of.format) is None or shuffled[at] >= len(table.topics):
            return None
        template = {
            "bullets": table.bullets,
            "one_word": table.one_word,
            "question": table.question,
        }[form]
        return _fill(template, topic=table.topics[shuffled[at]])

    return _both(own, write, form)


def _digits(own: Texts, place: _Place) -> _Made | None:
    number = place.in_turn(100)
    if number is None:
        return None

    def write(of: Texts) -> str | None:
        if of.digits is None or number >= len(of.number_words):
            return None
        return _fill(of.digits.ask, words=of.number_words[number])

    return _both(own, write, number)


def _polite(own: Texts, place: _Place) -> _Made | None:
    at = place.in_turn(len(own.polite.asks))
    if at is None:
        return None
    return _Made(own.polite.asks[at], "Write a short letter to a stranger, in the polite form.")


def _code(own: Texts, place: _Place) -> _Made | None:
    english = _english().code
    if own.code is None or english is None:
        return None
    at = place.in_turn(len(english.asks))
    if at is None or at >= len(own.code.asks):
        return None
    return _Made(own.code.asks[at], _with_language(english.asks[at], place.code))


_MAKERS: dict[Kind, tuple[Make, str | None]] = {
    "stays": (_stays, "own"),
    "told": (_told, "own"),
    "sum_one": (_sum_one, None),
    "sum_two": (_sum_two, None),
    "price": (_price, None),
    "date": (_date, None),
    "json": (_json, None),
    "yes_no": (_yes_no, "own"),
    "count": (_count, None),
    "copy": (_copy, "own"),
    "to_english": (_to_english, "en"),
    "from_english": (_from_english, "own"),
    "order": (_order, None),
    "format": (_format, "own"),
    "digits": (_digits, None),
    "polite": (_polite, "own"),
    "code": (_code, "own"),
}
"""How the items of a kind are made, and the language of their answers: the item's own, another
one's code, or none."""


def plain_decimal(amount: Decimal) -> str:
    """A number without exponent, separators and zeros at its end: `1234.5`."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _english() -> Texts:
    return texts("en")


def _both(own: Texts, write: Callable[[Texts], str | None], right: Expected) -> _Made | None:
    """The prompt in its language and in English; `None` if the language has none."""
    prompt = write(own)
    return None if prompt is None else _Made(prompt, write(_english()) or "", right)


def _word(place: _Place) -> str | None:
    """The English word that is asked now."""
    words = tuple(_english().words)
    at = place.in_turn(len(words))
    return None if at is None else words[at]


def _entry(many: Sequence[_T], place: int) -> _T:
    """An entry by any number: lists of the same length give the same place in every language."""
    return many[place % len(many)]


def _fill(template: str, **slots: object) -> str:
    """A template with its slots filled; a full stop is not written twice."""
    return _SLOT.sub(lambda found: _slot(found, slots), template)


def _slot(found: re.Match[str], slots: Mapping[str, object]) -> str:
    written = str(slots.get(found[1], found[0]))
    return written if written.endswith(".") else written + found[2]


def _joined(sentence: str, ask: str) -> str:
    return sentence + ask if sentence.endswith(_FULL_WIDTH_ENDS) else f"{sentence} {ask}"


def _list(words: Sequence[str], code: str) -> str:
    return _LIST_SEPARATORS.get(code, ", ").join(words)


def _with_language(english: str, code: str) -> str:
    """An English sentence whose last “English” is replaced by the name of a language."""
    before, found, after = english.rpartition("English")
    return f"{before}{LANGUAGES[code].english_name}{after}" if found else english


def _currency(locale: str) -> str:
    """The currency that is used where a locale is spoken, by the likeliest country if it has none.

    `de_DE` has `EUR`.
    """
    from babel import Locale
    from babel.core import get_global
    from babel.numbers import get_territory_currencies

    parsed = Locale.parse(locale)
    if parsed.territory is None:
        parsed = Locale.parse(get_global("likely_subtags")[str(parsed)])
    return get_territory_currencies(parsed.territory or "")[0]


def _written_price(amount: Decimal, currency: str, locale: str) -> str:
    """A price as it is written there."""
    from babel.numbers import format_currency

    ungrouped = locale in _FOUR_DIGITS_UNGROUPED and amount < 10_000
    written = format_currency(
        amount,
        currency,
        locale=locale,
        group_separator=not ungrouped,
        numbering_system="default",
    )
    return _as_typed(written, locale)


def _as_typed(written: str, locale: str) -> str:
    """What Babel writes, in the digits of the locale, which Babel leaves out.

    Without the invisible marks of direction: nobody types them.
    """
    from babel import Locale

    written = _DIRECTION_MARKS.sub("", written)
    if Locale.parse(locale).default_numbering_system == "arab":
        return written.translate(_ARABIC_DIGITS)
    return written
