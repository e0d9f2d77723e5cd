"""Where the pictures stand in a prompt: tags in its text, negative numbers among its tokens."""

import re
from collections.abc import Callable, Sequence

_TAG = re.compile(r"<\|image_(\d+)\|>")


def encode(text: str, counts: Sequence[int], tokenize: Callable[[str], Sequence[int]]) -> list[int]:
    """A prompt as tokens: for `<|image_k|>` as many `-k` as `counts[k - 1]` says.

    Raises:
        ValueError: The prompt does not name each of so many pictures once.
    """
    tags = check_tags(text, len(counts))
    # As published: each piece is encoded by itself, with whatever the tokenizer puts before it.
    first, *pieces = map(tokenize, _TAG.split(text)[::2])
    ids = list(first)
    for tag, piece in zip(tags, pieces, strict=True):
        ids += [-tag] * counts[tag - 1] + list(piece)
    return ids


def check_tags(text: str, pictures: int) -> list[int]:
    """The numbers of a prompt's tags; `ValueError` if they are not those of so many pictures."""
    tags = [int(tag) for tag in _TAG.findall(text)]
    if sorted(tags) != list(range(1, pictures + 1)):
        raise ValueError(
            "A prompt names each of its pictures once, from <|image_1|> on: "
            f"this one names {tags or 'none'}, and {pictures} came with it."
        )
    return tags
