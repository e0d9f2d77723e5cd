"""A prompt and its pictures into the model's inputs, as `processing_phi3_v.py` does it."""

# The published order of arguments is not the library's of today.
# pyright: reportIncompatibleMethodOverride=false

from collections.abc import Sequence
from typing import Any

from transformers import BatchFeature
from transformers.image_utils import ImageInput
from transformers.processing_utils import ProcessorMixin

from .placeholders import check_tags, encode


class Phi3VProcessor(ProcessorMixin):
    """Puts `-k` where a prompt says `<|image_k|>`, as often as that picture has tokens."""

    def __init__(
        self, image_processor: Any, tokenizer: Any, chat_template: str | None = None
    ) -> None:
        super().__init__(
            image_processor, tokenizer, chat_template=chat_template or tokenizer.chat_template
        )

    def __call__(
        self,
        text: str | list[str],
        images: ImageInput | None = None,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        return_tensors: str = "pt",
        **images_kwargs: Any,
    ) -> BatchFeature:
        """Prepare a prompt with pictures, or one or several without.

        Args:
            text: A prompt whose tags `<|image_1|>`, `<|image_2|>`, … stand for the pictures.
            images: The pictures, in the order of their numbers.
            padding, truncation, max_length: For prompts without pictures.
            images_kwargs: For the image processor, such as `num_crops`.

        Returns:
            `input_ids` and `attention_mask` (1, tokens), and what the image processor returns.

        Raises:
            ValueError: The pictures are not those that the tags name.
        """
        prompts = [text] if isinstance(text, str) else text
        if images is None or (isinstance(images, (list, tuple)) and not images):
            for prompt in prompts:
                check_tags(prompt, 0)
            encoded = self.tokenizer(
                text,
                padding=padding,
                truncation=truncation,
                max_length=max_length,
                return_tensors=return_tensors,
            )
            return BatchFeature(dict(encoded))
        if len(prompts) != 1:
            raise ValueError("Pictures can be given to one prompt at a time.")
        pictures = self.image_processor(images, return_tensors=return_tensors, **images_kwargs)
        ids = self.encode(prompts[0], [int(n) for n in pictures["num_img_tokens"]])
        data = {"input_ids": [ids], "attention_mask": [[1] * len(ids)]}
        return BatchFeature({**BatchFeature(data, tensor_type=return_tensors), **pictures})

    def encode(self, text: str, counts: Sequence[int]) -> list[int]:
        """A prompt as tokens: for `<|image_k|>` as many `-k` as `counts[k - 1]` says.

        Raises:
            ValueError: The prompt does not name each of so many pictures once.
        """
        return encode(text, counts, lambda piece: self.tokenizer(piece).input_ids)

    def calc_num_image_tokens(self, images: ImageInput) -> list[int]:
        """How many tokens each picture takes in the prompt."""
        return self.image_processor.calc_num_image_tokens(images)

    def calc_num_image_tokens_from_image_size(self, width: int, height: int) -> int:
        """How many tokens a picture of so many pixels takes in the prompt."""
        return self.image_processor.calc_num_image_tokens_from_image_size(width, height)
