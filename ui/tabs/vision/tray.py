"""The tray of pictures for the next prompt, with their order and token cost, as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from backends import CONTEXT_CAP, Sentence
from playground.media.pictures import Picture
from playground.media.tiles import draw_tiles, image_tokens

from ...compare.transcript.prompts import data_url, thumbnail_url
from ...texts import told, told_as

MOVES = {"earlier": "←", "later": "→"}


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
    reading = f'<p class="reading"><span class="pulse"></span>{told(busy)}</p>' if busy else ""
    if not pictures:
        return reading
    first = 1 + len(costs[0].earlier) if costs else 1
    cards = "".join(
        _card(picture, n, number, last=n == len(pictures) - 1)
        for n, (number, picture) in enumerate(enumerate(pictures, first))
    )
    lines = "".join(_cost_line(pictures, cost) for cost in costs)
    return (
        f'<ol class="strip"{told_as("aria-label", "Pictures for the next prompt")}>{cards}</ol>'
        f"{reading}"
        f'<div class="costs">{lines}</div>{_details(pictures, costs, previews, first)}'
    )


def _card(picture: Picture, n: int, number: int, last: bool) -> str:
    name = escape(picture.name)
    notes = "".join(told(note) for note in picture.notes)
    moves = "".join(
        _button(action, picture, n, sign, number)
        for action, sign in MOVES.items()
        if not (n == 0 and action == "earlier") and not (last and action == "later")
    )
    size = Sentence("{width} × {height}", width=picture.width, height=picture.height)
    is_picture = told_as("aria-label", Sentence("Picture {number}", number=number))
    return (
        f'<li><img src="{thumbnail_url(picture)}" alt="{name}" title="{name}">'
        f"<b{is_picture}>{number}</b>"
        f'<p><span dir="auto">{name}</span>{told(size)}{notes}</p>'
        f"<div>{moves}{_button('remove', picture, n, '×', number)}</div></li>"
    )


def _button(action: str, picture: Picture, n: int, sign: str, number: int) -> str:
    words = {
        "earlier": Sentence("Move picture {number} earlier", number=number),
        "later": Sentence("Move picture {number} later", number=number),
        "remove": Sentence("Remove picture {number}", number=number),
    }[action]
    return (
        f'<button type="button" data-act="{action}" data-n="{n}" data-picture="{picture.digest}"'
        f"{told_as('aria-label', words)}{told_as('title', words)}>{sign}</button>"
    )


def _cost_line(pictures: Sequence[Picture], cost: ImageCost) -> str:
    """Return the share of one side's context that the pictures take."""
    side = f'<b class="letter {cost.side.lower()}">{cost.side}</b> '
    if cost.crops is None:
        own = told("How many tokens they take is this model's own matter.")
        return f"<p>{side}{own}</p>"
    new, all_of_them = cost.tokens(pictures), cost.tokens((*cost.earlier, *pictures))
    share = min(100, round(100 * all_of_them / CONTEXT_CAP))
    each = {image_tokens(picture, cost.crops) for picture in pictures}
    per = before = ""
    if len(pictures) > 1 and len(each) == 1:
        per = f" ({told(Sentence('{size} each', size=min(each)))})"
    elif len(pictures) > 1:
        sizes = Sentence("{least} to {most} each", least=min(each), most=max(each))
        per = f" ({told(sizes)})"
    if cost.earlier:
        before = f", {told(Sentence('{all} with the earlier ones', all=all_of_them))}"
    window = Sentence("{share} % of the {context}-token context", share=share, context=CONTEXT_CAP)
    gauge = f'<span class="gauge" aria-hidden="true"><i style="width:{max(1, share)}%"></i></span>'
    shown = f"{gauge}{told(window)}"
    if all_of_them >= CONTEXT_CAP:
        code = (
            "more than {context} tokens: it reads on in its long context, slower and with more "
            "memory"
        )
        if cost.context <= CONTEXT_CAP:
            code = (
                "more than {context} tokens: too much for this model. Take fewer pictures or crops"
            )
        shown = f'<span class="warning">{told(Sentence(code, context=CONTEXT_CAP))}</span>'
    tokens = told(Sentence("{n} tokens", one="{n} token", n=new))
    return (
        f"<p>{side}{_crop_limit(cost.crops)}: <strong>{tokens}</strong>{per}{before} · {shown}</p>"
    )


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
        f"<p><b>{escape(', '.join(sides))}: {_crop_limit(crops)}</b></p>"
        f'<div class="sheets">{"".join(_preview_images(pictures, crops, previews, first))}</div>'
        for crops, sides in by_crops.items()
    )
    return (
        f'<details class="seen"><summary>{told("What the models see")}</summary>'
        f"<p>{told(_CROPS)}</p>{rows}</details>"
    )


_CROPS = (
    "First the whole picture, squeezed into a square; then its crops, each seen at 336 × 336 "
    "pixels. White margins fill them up."
)


def _crop_limit(crops: int) -> str:
    return told(Sentence("up to {crops} crops", crops=crops) if crops > 1 else "1 crop")


def _preview_images(
    pictures: Sequence[Picture], crops: int, previews: CropPreviews, first: int
) -> list[str]:
    return [
        f'<img src="{previews[picture.digest, crops]}" alt="{number}"'
        f"{told_as('aria-label', Sentence('Picture {number} in its crops', number=number))}>"
        for number, picture in enumerate(pictures, first)
        if (picture.digest, crops) in previews
    ]
