"""Tokens of the same prompts in every language: what a language costs before anything is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends import (
    MODELS,
    REGISTRY,
    ModelNotFoundError,
    ModelSpec,
    Sentence,
    count_catalog_tokens,
)

from ..errors import ReaderError
from ..languages.table import LANGUAGES
from .items import PROMPTS
from .texts import available, texts


class TokensError(ReaderError):
    """The tokens of a model cannot be counted: one sentence that says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Tax:
    """Tokens of the shipped prompts in one language."""

    language: str
    tokens: int
    """Of all prompts together."""
    relative: float
    """In times of English."""
    lowest: float
    """The same of the prompt that costs least in comparison."""
    highest: float


async def token_taxes(spec: ModelSpec, languages: Sequence[str] | None = None) -> tuple[Tax, ...]:
    """What each language costs a model, the dearest first. Raises `TokensError`."""
    counts: dict[str, Mapping[str, int]] = {}
    for code in dict.fromkeys(("en", *(languages or available()))):
        prompts = texts(code).prompts
        if all(name in prompts for name in PROMPTS):
            counts[code] = {name: await _count(spec, prompts[name]) for name in PROMPTS}
    english = counts["en"]
    taxes = [
        Tax(
            code,
            sum(own.values()),
            sum(own.values()) / sum(english.values()),
            min(own[name] / english[name] for name in PROMPTS),
            max(own[name] / english[name] for name in PROMPTS),
        )
        for code, own in counts.items()
        if languages is None or code in languages
    ]
    return tuple(sorted(taxes, key=lambda tax: -tax.relative))


async def token_table(model: str) -> str:
    """The same as a table in Markdown, for a model of the catalog by its key or its name there.

    Raises `TokensError`.
    """
    spec = find_spec(model)
    taxes = await token_taxes(spec)
    rows = [
        f"| {LANGUAGES[tax.language].english_name:<10} | {tax.tokens:>6} | {tax.relative:>7.2f} | "
        f"{tax.lowest:.2f}–{tax.highest:.2f} |"
        for tax in taxes
    ]
    return "\n".join(
        [
            f"Tokens of the same {len(PROMPTS)} prompts to {spec.label}, and in times of English:",
            "",
            f"| {'Language':<10} | Tokens | English | Prompts   |",
            "|------------|-------:|--------:|-----------|",
            *rows,
        ]
    )


def find_spec(model: str) -> ModelSpec:
    """A model of the catalog: `phi-3.5-mini`, `pocket/pocket-3.5`. Raises `TokensError`."""
    name = model.strip().lower()
    for spec in MODELS.values():
        known = {spec.key, f"pocket/{spec.key}", spec.label.lower(), (spec.hub_id or "").lower()}
        if name and name in known:
            return spec
    raise TokensError(
        f"There is no model “{model}” in the catalog: choose from {', '.join(MODELS)}."
    )


async def _count(spec: ModelSpec, text: str) -> int:
    try:
        if spec.hub_id is None:
            pocket = REGISTRY["pocket"]
            count = await pocket.count_tokens(spec.key, text)
        else:
            count = await count_catalog_tokens(spec, text)
    except (ModelNotFoundError, ImportError, ValueError) as error:
        raise TokensError(
            Sentence(
                "The tokenizer of {label} cannot be read: {error}",
                label=spec.label,
                error=Sentence.of(str(error)),
            )
        ) from error
    if count is None and spec.hub_id is None:
        raise TokensError(
            Sentence(
                "The files of {label} are missing: fetch Phi Playground again, with "
                "backends/pocket/models.",
                label=spec.label,
            )
        )
    if count is None and spec.architecture == "phi3small":
        raise TokensError(
            Sentence(
                "{label} has a tokenizer of its own kind, which cannot be read here: choose "
                "another model.",
                label=spec.label,
            )
        )
    if count is None:
        raise TokensError(
            Sentence(
                "The tokenizer of {label} is not on this machine: fetch that file alone, about "
                "2 MB, with “{command}”, or download the model.",
                label=spec.label,
                command=f"hf download {spec.hub_id} tokenizer.json",
            )
        )
    return count
