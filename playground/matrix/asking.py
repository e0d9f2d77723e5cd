"""What a run asks, from the words in its header: tasks, the page's prompts, a visitor's own."""

from collections.abc import Mapping, Sequence

from ..text import strip_controls
from .items import KINDS, PROMPTS, SHIPPED, Item
from .run_file import Header
from .tasks import item_at, items, own_prompts, shipped_prompts, told_prompts

OWN = "own"
"""A text for each language, which a visitor wrote."""
ASKED = "asked"
"""One question in English, with the demand to answer in each language."""


def shipped(name: str) -> str:
    """The word of one of the page's prompts."""
    return f"prompt:{name}"


def shipped_names(kinds: Sequence[str]) -> tuple[str, ...]:
    """The page's prompts that are asked; empty if something else is."""
    if tuple(kinds) == (SHIPPED,):
        return PROMPTS
    return tuple(name for name in PROMPTS if shipped(name) in kinds)


def is_own(kinds: Sequence[str]) -> bool:
    """Whether it is what a visitor wrote, which no file of this program has."""
    return tuple(kinds) in ((OWN,), (ASKED,))


def items_of(
    kinds: Sequence[str],
    languages: Sequence[str],
    count: int,
    seed: int,
    texts: Mapping[str, str] | None = None,
) -> tuple[Item, ...]:
    """The items of a run. `texts` are a visitor's own, by language code."""
    written = texts or {}
    if tuple(kinds) == (OWN,):
        return own_prompts({code: written[code] for code in languages if code in written})
    if tuple(kinds) == (ASKED,):
        question = strip_controls(written.get("en", "")).strip()
        return told_prompts(languages, [question] if question else [])
    if names := shipped_names(kinds):
        return shipped_prompts(languages, names)
    return tuple(items([kind for kind in KINDS if kind in kinds], languages, count, seed))


def items_of_header(header: Header) -> tuple[Item, ...]:
    """The items of a run that was begun."""
    return items_of(header.kinds, header.languages, header.items, header.seed, header.texts)


def english_of(header: Header, item: str, prompt: str) -> str:
    """The English of a prompt, for readers; empty if this version would ask something else."""
    kind, language, index = item.split("/")
    if is_own(header.kinds):
        return header.texts.get("en", "")
    if shipped_names(header.kinds):
        made = items_of(header.kinds, [language], 1, header.seed)
    elif kind in KINDS:
        one = item_at(kind, language, int(index), header.seed)
        made = (one,) if one else ()
    else:
        return ""
    found = next((one for one in made if one.id == item and one.prompt == prompt), None)
    return found.english if found else ""
