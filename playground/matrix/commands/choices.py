"""What may be chosen on the command line: languages and tasks."""

from ...commands.failure import Failure
from ..items import KINDS, SHIPPED


def languages_named(text: str) -> tuple[str, ...]:
    """The codes of languages as they were named; `all` and `23` are several. Raises `Failure`."""
    from ...languages.table import LANGUAGES
    from ..texts import available

    there = available()
    if text == "all":
        return there
    if text == "23":
        return tuple(code for code in there if LANGUAGES[code].among_23)
    named = listed(text)
    if unknown := [code for code in named if code not in there]:
        raise Failure(f"There is no language “{unknown[0]}”: choose from {', '.join(there)}.")
    if not named:
        raise Failure(f"No language is named: choose from {', '.join(there)}.")
    return tuple(code for code in there if code in named)


def kinds_named(text: str) -> tuple[str, ...]:
    """The kinds of tasks as they were named. Raises `Failure`."""
    if text == "all":
        return KINDS
    if text == SHIPPED:
        return (SHIPPED,)
    named = listed(text)
    if SHIPPED in named:
        raise Failure(f"The prompts are a run of their own: --tasks {SHIPPED}, alone.")
    if unknown := [kind for kind in named if kind not in KINDS]:
        raise Failure(f"There is no task “{unknown[0]}”: choose from {', '.join(KINDS)}.")
    if not named:
        raise Failure(f"No task is named: choose from {', '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in named)


def listed(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]
