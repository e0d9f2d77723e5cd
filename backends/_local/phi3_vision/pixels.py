"""A picture as CLIP takes it, by NumPy alone: what `Phi3VImageProcessor` makes of it by torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .crops import CROP, Layout, hd_transform

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_SHARPNESS = -0.75
"""The parameter of the cubic kernel, as torch has it."""


def crop_pixels(
    picture: "Image.Image", num_crops: int, mean: Sequence[float], std: Sequence[float]
) -> "np.ndarray[Any, Any]":
    """An RGB picture as float32 (1 + crops, 3, 336, 336): the whole of it, its crops row by row.

    Within 1e-5 of what `Phi3VImageProcessor` makes of it: both compute in float32.
    """
    import numpy as np

    layout = Layout.of(*picture.size, num_crops)
    # In place from here on: a picture of 16 crops takes 22 MB.
    values = np.array(hd_transform(picture, num_crops), np.float32).transpose(2, 0, 1)
    values /= 255
    values -= np.array(mean, np.float32)[:, None, None]
    values /= np.array(std, np.float32)[:, None, None]
    tiles = values.reshape(3, layout.rows, CROP, layout.columns, CROP).transpose(1, 3, 0, 2, 4)
    # The whole picture is made of the padded one, white stripes and all.
    whole = _resized(_resized(values, 1), 2)
    return np.concatenate([whole[None], tiles.reshape(-1, 3, CROP, CROP)])


def _resized(values: "np.ndarray[Any, Any]", axis: int) -> "np.ndarray[Any, Any]":
    """`values` with `CROP` points along an axis: bicubic, without smoothing, as torch does it."""
    import numpy as np

    length = values.shape[axis]
    at = (np.arange(CROP) + 0.5) * (length / CROP) - 0.5
    first = np.floor(at).astype(int)
    shape = [-1 if n == axis else 1 for n in range(values.ndim)]
    resized = np.zeros((), np.float32)
    for step in (-1, 0, 1, 2):
        share = _cubic(np.abs(at - first - step)).astype(np.float32).reshape(shape)
        place = np.clip(first + step, 0, length - 1)  # beyond the edge it goes on as it ends
        resized = resized + share * values.take(place, axis)
    return resized


def _cubic(distance: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """How much a point counts at a distance of up to two."""
    import numpy as np

    near = ((_SHARPNESS + 2) * distance - (_SHARPNESS + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance - 4
    return np.where(distance <= 1, near, _SHARPNESS * far)
