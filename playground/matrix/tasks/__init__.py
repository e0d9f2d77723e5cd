"""The tasks: items of every kind in every language, made from the language files by a seed."""

from collections.abc import Iterator, Mapping, Sequence

from ...languages.table import LANGUAGES
from ...text import strip_controls
from ..items import PROMPTS, Item, Kind
from ..texts import texts
from . import local_forms, numbers, open_questions, words
from .making import Make, Place, fill
from .writing import plain_decimal

__all__ = [
    "SPEAKING",
    "blocks",
    "items",
    "own_prompts",
    "plain_decimal",
    "shipped_prompts",
    "told_prompts",
]

SPEAKING: frozenset[Kind] = frozenset(("stays", "told"))
"""Kinds that say whether a model answers in a language at all: open questions, long answers."""
_MAKERS: dict[Kind, tuple[Make, str | None]] = {
    "stays": (open_questions.stays, "own"),
    "told": (open_questions.told, "own"),
    "sum_one": (numbers.sum_one, None),
    "sum_two": (numbers.sum_two, None),
    "price": (local_forms.price, None),
    "date": (local_forms.local_date, None),
    "json": (local_forms.json_object, None),
    "yes_no": (numbers.yes_no, "own"),
    "count": (numbers.count, None),
    "copy": (words.copy, "own"),
    "to_english": (words.to_english, "en"),
    "from_english": (words.from_english, "own"),
    "order": (numbers.order, None),
    "format": (open_questions.form, "own"),
    "digits": (numbers.digits, None),
    "polite": (open_questions.polite, "own"),
    "code": (open_questions.code, "own"),
}
"""How the items of a kind are made, and the language of their answers: the item's own, another
one's code, or none."""


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
                if item := item_at(kind, code, index, seed):
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


def told_prompts(languages: Sequence[str], prompts: Sequence[str]) -> tuple[Item, ...]:
    """English prompts that are to be answered in other languages, one by one over all of them."""
    asked = texts("en").told
    if asked is None:
        return ()
    return tuple(
        Item("told", code, index, told, told, None, code)
        for index, prompt in enumerate(prompts)
        for code in languages
        for told in (fill(asked.ask, question=prompt, language=LANGUAGES[code].english_name),)
    )


def item_at(kind: Kind, code: str, index: int, seed: int) -> Item | None:
    """The item of a kind and a language at a place; `None` if that kind has no more there."""
    make, answered_in = _MAKERS[kind]
    made = make(texts(code), Place(kind, code, index, seed))
    if made is None:
        return None
    answer_language = code if answered_in == "own" else answered_in
    return Item(kind, code, index, made.prompt, made.english, made.expected, answer_language)
