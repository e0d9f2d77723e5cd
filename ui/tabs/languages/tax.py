"""The token tax: how many tokens the same prompts take in each language, by model."""

from collections.abc import Iterable
from typing import Any

from backends import MODELS, REGISTRY, ModelSpec, Sentence
from playground.matrix.run_file import RunFile
from playground.matrix.tokens import TokensError, token_taxes

ALWAYS = ("phi-3-mini-4k", "phi-3.5-mini")
"""Models of the catalog that are counted wherever their tokenizers are here."""


async def tax_fields(run: RunFile | None) -> dict[str, Any]:
    """Columns, rows and remarks of the tax: of the shown models, and of the Phi models."""
    columns: list[dict[str, Any]] = []
    notes: list[Sentence] = []
    for spec in _specs(run):
        try:
            taxes = await token_taxes(spec)
        except TokensError as error:
            notes.append(error.sentence)
            continue
        by_language = {tax.language: (tax.tokens, round(tax.relative, 2)) for tax in taxes}
        same = next((one for one in columns if one["taxes"] == by_language), None)
        if same:
            same["name"] += f", {spec.label}"
        else:
            columns.append({"name": spec.label, "taxes": by_language})
    order: list[str] = []
    if columns:
        first = columns[0]["taxes"]
        order = sorted(first, key=lambda code: -first[code][1])
    return {"columns": columns, "order": order, "notes": notes}


def _specs(run: RunFile | None) -> Iterable[ModelSpec]:
    """Each model once, by what its tokenizer can be told from."""
    found: dict[str, ModelSpec] = {}
    for model in run.header.models if run else ():
        backend = REGISTRY.get(model.backend)
        spec = backend.spec_of(model.model) if backend else None
        if spec and spec.key in MODELS:
            found[spec.key] = spec
    for key in ALWAYS:
        if key in MODELS:
            found[key] = MODELS[key]
    return found.values()
