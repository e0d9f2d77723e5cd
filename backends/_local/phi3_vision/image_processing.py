"""Pictures into crops of 336 by 336 pixels: the HD transform of `image_processing_phi3_v.py`."""

# The library's own processors override their base as this does.
# pyright: reportIncompatibleMethodOverride=false

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.image_transforms import to_pil_image
from transformers.image_utils import (
    ImageInput,
    make_flat_list_of_images,
    valid_images,
)
from transformers.processing_utils import ImagesKwargs
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from .crops import CROP, Layout, hd_transform
from .pixels import crop_pixels


class Phi3VImagesKwargs(ImagesKwargs, total=False):
    """What may be given to a call, or to `from_pretrained`."""

    num_crops: int


class Phi3VImageProcessor(BaseImageProcessor):
    """Pictures as Phi-3-vision sees them: once as a whole, and in at most `num_crops` crops.

    A picture is resized to as many crops as fit, wide ones in few rows and square ones in many, and
    padded with white to whole crops. More crops show finer detail and cost more tokens.
    """

    valid_kwargs = Phi3VImagesKwargs
    model_input_names = ["pixel_values", "image_sizes"]  # noqa: RUF012 as in the base class

    def __init__(
        self,
        num_crops: int = 1,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        num_img_tokens: int = 144,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_crops = num_crops
        self.image_mean = image_mean or OPENAI_CLIP_MEAN
        self.image_std = image_std or OPENAI_CLIP_STD
        self.num_img_tokens = num_img_tokens

    def preprocess(
        self,
        images: ImageInput,
        num_crops: int | None = None,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        return_tensors: str | None = None,
        **_: Any,
    ) -> BatchFeature:
        """Prepare one picture or several.

        Returns:
            `pixel_values` (images, num_crops + 1, 3, 336, 336): crop 0 is the whole picture, then
            its crops row by row; those that it does not fill are zeros.
            `image_sizes` (images, 2): height and width of the padded picture in pixels.
            `num_img_tokens` (images): tokens that each takes in the prompt.
        """
        most = self.num_crops if num_crops is None else num_crops
        mean, std = image_mean or self.image_mean, image_std or self.image_std
        pictures = _pictures(images)
        padded = [hd_transform(picture, most) for picture in pictures]
        pixels = torch.zeros(len(padded), most + 1, 3, CROP, CROP)
        for values, picture in zip(pixels, padded, strict=True):
            filled = torch.from_numpy(crop_pixels(picture, mean, std))
            values[: len(filled)] = filled
        data = {
            "pixel_values": pixels,
            "image_sizes": [[picture.height, picture.width] for picture in padded],
            "num_img_tokens": [Layout.of(*picture.size, most).tokens for picture in pictures],
        }
        return BatchFeature(data, tensor_type=return_tensors)

    def calc_num_image_tokens(self, images: ImageInput, num_crops: int | None = None) -> list[int]:
        """How many tokens each picture takes in the prompt."""
        sizes = (picture.size for picture in _pictures(images))
        return [self.calc_num_image_tokens_from_image_size(*size, num_crops) for size in sizes]

    def calc_num_image_tokens_from_image_size(
        self, width: int, height: int, num_crops: int | None = None
    ) -> int:
        """How many tokens a picture of so many pixels takes in the prompt."""
        most = self.num_crops if num_crops is None else num_crops
        return Layout.of(width, height, most).tokens


def _pictures(images: ImageInput) -> list[Image.Image]:
    pictures: Any = make_flat_list_of_images(images)
    if not valid_images(pictures):
        raise ValueError("A picture must be a PIL image, an array or a tensor.")
    found = (to_pil_image(picture) for picture in pictures)
    return [picture if picture.mode == "RGB" else picture.convert("RGB") for picture in found]
