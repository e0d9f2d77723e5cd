"""Pictures into the numbers that CLIP takes, by NumPy alone, for any engine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .crops import CROP

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_SHARPNESS = -0.75
"""The cubic kernel's parameter, as torch has it, which the published code resizes with."""


def crop_pixels(
    padded: "Image.Image", mean: Sequence[float], std: Sequence[float]
) -> "np.ndarray[Any, Any]":
    """A picture that `hd_transform` has laid out, as CLIP takes it.

    Returns float32 (1 + crops, 3, 336, 336): the whole of it, then its crops row by row.
    """
    import numpy as np

    # Plane by plane and in place: a picture of 16 crops takes 22 MB.
    values = np.ascontiguousarray(np.asarray(padded).transpose(2, 0, 1)).astype(np.float32)
    values /= 255
    for plane, middle, spread in zip(values, mean, std, strict=True):
        plane -= np.float32(middle)
        plane /= np.float32(spread)
    rows, columns = padded.height // CROP, padded.width // CROP
    pixels = np.empty((1 + rows * columns, 3, CROP, CROP), np.float32)
    # The whole picture is made of the padded one, white stripes and all.
    pixels[0] = _resized(_resized(values, 1), 2)
    tiles = values.reshape(3, rows, CROP, columns, CROP).transpose(1, 3, 0, 2, 4)
    pixels[1:].reshape(rows, columns, 3, CROP, CROP)[:] = tiles
    return pixels


def _resized(values: "np.ndarray[Any, Any]", axis: int) -> "np.ndarray[Any, Any]":
    """`values` with `CROP` points along an axis: bicubic, without smoothing."""
    import numpy as np

    length = values.shape[axis]
    at = (np.arange(CROP) + 0.5) * (length / CROP) - 0.5
    first = np.floor(at).astype(int)
    shape = [-1 if n == axis else 1 for n in range(values.ndim)]
    resized: Any = 0
    for step in (-1, 0, 1, 2):
        # Beyond the edge it goes on as it ends.
        part = values.take(np.clip(first + step, 0, length - 1), axis)
        part *= _cubic(np.abs(at - first - step)).astype(np.float32).reshape(shape)
        part += resized
        resized = part
    return resized


def _cubic(distance: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """How much a point counts at a distance of up to two."""
    import numpy as np

    near = ((_SHARPNESS + 2) * distance - (_SHARPNESS + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance - 4
    return np.where(distance <= 1, near, _SHARPNESS * far)
