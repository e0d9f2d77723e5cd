"""The tray of pictures for the next prompt, with their order and token cost, as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from backends import CONTEXT_CAP
from playground.media.pictures import Picture
from playground.media.tiles import draw_tiles, image_tokens

from ...compare.transcript.prompts import data_url, thumbnail_url

ACTIONS = {"earlier": ("←", "Move {} earlier"), "later": ("→", "Move {} later")}


@dataclass(frozen=True)
class ImageCost:
    """The cost of a conversation's pictures on one side."""

    side: str
    """Its letter."""
    crops: int | None
    """Maximum crops per picture; `None` if the model does not tell."""
    earlier: tuple[Picture, ...]
    """Pictures of earlier turns."""
    context: int = CONTEXT_CAP
    """Context length of the model in tokens."""

    def tokens(self, pictures: Sequence[Picture]) -> int:
        """Return the tokens that pictures take of the context; 0 if crops are unknown."""
        return sum(image_tokens(picture, self.crops) for picture in pictures if self.crops)


CropPreviews = dict[tuple[str, int], str]
"""Previews of pictures in their crops as `data:` URLs, by picture digest and crops."""


def make_crop_previews(
    pictures: Sequence[Picture], costs: Sequence[ImageCost], previews: CropPreviews
) -> None:
    """Add missing previews to `previews`. Takes a few milliseconds per picture."""
    for cost in costs:
        for picture in pictures:
            key = (picture.digest, cost.crops or 0)
            if cost.crops and picture.available and key not in previews:
                previews[key] = data_url(draw_tiles(picture, cost.crops), "webp")


def tray_html(
    pictures: Sequence[Picture], costs: Sequence[ImageCost], previews: CropPreviews, busy: str = ""
) -> str:
    """Return the tray; empty without pictures. `busy` says what is being read."""
    reading = f'<p class="reading"><span class="pulse"></span>{escape(busy)}</p>' if busy else ""
    if not pictures:
        return reading
    first = 1 + len(costs[0].earlier) if costs else 1
    cards = "".join(
        _card(picture, n, number, last=n == len(pictures) - 1)
        for n, (number, picture) in enumerate(enumerate(pictures, first))
    )
    lines = "".join(_cost_line(pictures, cost) for cost in costs)
    return (
        f'<ol class="strip" aria-label="Pictures for the next prompt">{cards}</ol>{reading}'
        f'<div class="costs">{lines}</div>{_details(pictures, costs, previews, first)}'
    )


def _card(picture: Picture, n: int, number: int, last: bool) -> str:
    name = escape(picture.name)
    notes = "".join(f"<span>{escape(note)}</span>" for note in picture.notes)
    moves = "".join(
        _button(action, picture, n, sign, words.format(f"picture {number}"))
        for action, (sign, words) in ACTIONS.items()
        if not (n == 0 and action == "earlier") and not (last and action == "later")
    )
    return (
        f'<li><img src="{thumbnail_url(picture)}" alt="{name}" title="{name}">'
        f'<b aria-label="Picture {number}">{number}</b>'
        f"<p><span>{name}</span><span>{picture.width:,} × {picture.height:,}</span>{notes}</p>"
        f"<div>{moves}{_button('remove', picture, n, '×', f'Remove picture {number}')}</div></li>"
    )


def _button(action: str, picture: Picture, n: int, sign: str, words: str) -> str:
    return (
        f'<button type="button" data-act="{action}" data-n="{n}" data-picture="{picture.digest}" '
        f'aria-label="{words}" title="{words}">{sign}</button>'
    )


def _cost_line(pictures: Sequence[Picture], cost: ImageCost) -> str:
    """Return the share of one side's context that the pictures take."""
    side = f'<b class="letter {cost.side.lower()}">{cost.side}</b> '
    if cost.crops is None:
        return f"<p>{side}How many tokens they take is this model's own matter.</p>"
    new, all_of_them = cost.tokens(pictures), cost.tokens((*cost.earlier, *pictures))
    share = min(100, round(100 * all_of_them / CONTEXT_CAP))
    each = {image_tokens(picture, cost.crops) for picture in pictures}
    sizes = f"{min(each):,}" if len(each) == 1 else f"{min(each):,} to {max(each):,}"
    per = f" ({sizes} each)" if len(pictures) > 1 else ""
    before = f", {all_of_them:,} with the earlier ones" if cost.earlier else ""
    crops = f"up to {cost.crops} crops" if cost.crops > 1 else "1 crop"
    window = (
        f'<span class="gauge" aria-hidden="true"><i style="width:{max(1, share)}%"></i></span>'
        f"{share} % of the {CONTEXT_CAP:,}-token context"
    )
    if all_of_them >= CONTEXT_CAP:
        what = "it reads on in its long context, slower and with more memory"
        if cost.context <= CONTEXT_CAP:
            what = "too much for this model. Take fewer pictures or crops"
        window = f'<span class="warning">more than {CONTEXT_CAP:,} tokens: {what}</span>'
    return f"<p>{side}{crops}: <strong>{new:,} tokens</strong>{per}{before} · {window}</p>"


def _details(
    pictures: Sequence[Picture], costs: Sequence[ImageCost], previews: CropPreviews, first: int
) -> str:
    """Return what the models see: each picture as a whole, and crop by crop."""
    by_crops: dict[int, list[str]] = {}
    for cost in costs:
        if cost.crops:
            by_crops.setdefault(cost.crops, []).append(cost.side)
    if not by_crops:
        return ""
    rows = "".join(
        f"<p><b>{escape(' and '.join(sides))}: {_crop_limit(crops)}</b></p>"
        f'<div class="sheets">{"".join(_preview_images(pictures, crops, previews, first))}</div>'
        for crops, sides in by_crops.items()
    )
    return (
        '<details class="seen"><summary>What the models see</summary>'
        "<p>First the whole picture, squeezed into a square; then its crops, each seen at "
        f"336 × 336 pixels. White margins fill them up.</p>{rows}</details>"
    )


def _crop_limit(crops: int) -> str:
    return f"up to {crops} crops" if crops > 1 else "1 crop"


def _preview_images(
    pictures: Sequence[Picture], crops: int, previews: CropPreviews, first: int
) -> list[str]:
    return [
        f'<img src="{previews[picture.digest, crops]}" alt="Picture {number} in its crops">'
        for number, picture in enumerate(pictures, first)
        if (picture.digest, crops) in previews
    ]
