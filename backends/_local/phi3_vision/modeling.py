"""Phi-3 with eyes: CLIP's view of the pictures, laid between the words, and Phi-3 reading both."""

# The library's own models override their bases as these do.
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportAttributeAccessIssue=false

from typing import Any

import torch
from torch import nn
from transformers import Cache, CLIPVisionModel, Phi3ForCausalLM, Phi3Model
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from .configuration import CHAT_ENDS, LLAMA_END, Phi3VConfig


class Phi3ImageEmbedding(nn.Module):
    """Words and pictures as the vectors that Phi-3 reads (`image_embedding_phi3_v.py`)."""

    def __init__(self, config: Phi3VConfig, wte: nn.Embedding) -> None:
        super().__init__()
        vision = config.vision_config
        self.wte = wte
        self.img_processor = CLIPVisionModel._from_config(
            vision, attn_implementation=config._attn_implementation
        )
        merged = 4 * vision.hidden_size  # four neighbouring patches become one token
        self.glb_GN = nn.Parameter(torch.zeros(1, 1, merged))
        self.sub_GN = nn.Parameter(torch.zeros(1, 1, 1, merged))
        self.img_projection = nn.Sequential(
            nn.Linear(merged, config.hidden_size),
            nn.GELU(),
            nn.Linear(config.hidden_size, config.hidden_size),
        )

    def forward(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Embed a batch of prompts: (rows, tokens) into (rows, tokens, hidden size).

        Args:
            input_ids: Words, and -1, -2, … where a row's first, second, … picture stands.
            pixel_values: (images, num_crops + 1, 3, 336, 336); row by row, and in a row in the
                order of their numbers.
            image_sizes: (images, 2), height and width in pixels.
        """
        words = self.wte(input_ids.clamp_min(0))
        rows, places = (input_ids < 0).nonzero(as_tuple=True)
        if not len(rows):
            return words
        if pixel_values is None or image_sizes is None:
            raise ValueError("A prompt with pictures needs their pixel_values and image_sizes.")
        pictures = zip(pixel_values, image_sizes, strict=True)
        features = torch.cat([self.embed_image(pixels, size) for pixels, size in pictures])
        if len(features) != len(rows):
            raise ValueError(
                f"The pictures make {len(features)} tokens, but the prompt has {len(rows)} of them."
            )
        # From the order of reading into that of the pictures: by row, number (-1, -2, …) and place.
        order = torch.argsort(rows * 2**31 - input_ids[rows, places], stable=True)
        return words.index_put((rows[order], places[order]), features.to(words))

    def embed_image(self, pixels: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
        """The tokens of one picture: its crops, a separator, the whole picture.

        (num_crops + 1, 3, 336, 336) into (tokens, hidden size).
        """
        height, width = (int(length) // pixels.shape[-1] for length in size)
        # The rest is empty.
        return self.lay_out(self.get_img_features(pixels[: 1 + height * width]), height, width)

    def lay_out(self, features: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        """What CLIP saw of one picture as its tokens.

        (1 + rows * columns, 576, 1024), the whole picture first, into (tokens, hidden size).
        """
        whole, crops = features[:1], features[1:]
        tokens = [self._lines(crops, rows, columns), self.glb_GN[0], self._lines(whole, 1, 1)]
        return self.img_projection(torch.cat(tokens))

    def get_img_features(self, img_embeds: torch.Tensor) -> torch.Tensor:
        """What CLIP sees: (crops, 3, 336, 336) into (crops, 576, 1024).

        The features are those of the layer before the last, without the class token.
        """
        seen = self.img_processor(img_embeds, output_hidden_states=True)
        return seen.hidden_states[-2][:, 1:]

    def _lines(self, features: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        """Crops into the lines of tokens of the picture that they tile, each with its end.

        (rows * columns, 576, 1024) into (rows * 12 * (columns * 12 + 1), 4096).
        """
        channels = features.shape[-1]
        half = int(features.shape[1] ** 0.5) // 2
        tiles = features.view(rows, columns, half, 2, half, 2, channels)
        # To (row of crops, line in it, column of crops, token in it, 2 by 2 patches, channels).
        lines = tiles.permute(0, 2, 1, 4, 3, 5, 6).reshape(rows * half, columns * half, -1)
        ends = self.sub_GN[0].expand(len(lines), -1, -1)
        return torch.cat([lines, ends], dim=1).flatten(0, 1)


class Phi3VModel(Phi3Model):
    """Phi-3 without its head, reading words and pictures."""

    config: Phi3VConfig
    _tied_weights_keys = {  # noqa: RUF012 as in the base class
        "vision_embed_tokens.wte.weight": "embed_tokens.weight"
    }
    _no_split_modules = ["Phi3DecoderLayer", "Phi3ImageEmbedding"]  # noqa: RUF012

    def __init__(self, config: Phi3VConfig) -> None:
        super().__init__(config)
        self.vision_embed_tokens = Phi3ImageEmbedding(config, self.embed_tokens)
        self.register_load_state_dict_pre_hook(_read_published_names)
        self.post_init()

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        # Two names of one table, whatever `tie_word_embeddings` says, which is about the head.
        # `Phi3Model` asks before there is a second one.
        return dict(self._tied_weights_keys) if hasattr(self, "vision_embed_tokens") else {}

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embed_tokens = self.vision_embed_tokens.wte = value

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Phi3ImageEmbedding):
            init.zeros_(module.glb_GN)
            init.zeros_(module.sub_GN)

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """As `Phi3Model`; the pictures belong to the call that holds their tokens."""
        if input_ids is not None and pixel_values is not None:
            inputs_embeds = self.vision_embed_tokens(input_ids, pixel_values, image_sizes)
            input_ids = None
        return super().forward(
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, **kwargs
        )


def _read_published_names(
    module: nn.Module, state: dict[str, torch.Tensor], prefix: str, *_: Any
) -> None:
    """Let `load_state_dict` take the published names too; `from_pretrained` knows them already."""
    eyes = f"{prefix}vision_embed_tokens."
    for name in [name for name in state if name.startswith(f"{eyes}img_processor.vision_model.")]:
        state[name.replace(".vision_model.", ".", 1)] = state.pop(name)
    if (words := state.get(f"{prefix}embed_tokens.weight")) is not None:
        state.setdefault(f"{eyes}wte.weight", words)


class Phi3VForCausalLM(Phi3ForCausalLM):
    """Phi-3-vision: answers prompts with pictures. Without any it is `Phi3ForCausalLM`.

    What a picture becomes can be had from `model.model.vision_embed_tokens`, as in the published
    code: called with `input_ids`, `pixel_values`, `image_sizes` it returns the embedded prompt.
    """

    config: Phi3VConfig

    def __init__(self, config: Phi3VConfig) -> None:
        super(Phi3ForCausalLM, self).__init__(config)  # past a decoder that would be thrown away
        self.model = Phi3VModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        num_img_tokens: Any = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """As `Phi3ForCausalLM`, given what `Phi3VProcessor` returns (`num_img_tokens` is not used).

        The vectors of a prompt with pictures may also be made first and given as `inputs_embeds`.
        """
        if input_ids is not None and pixel_values is not None:
            embed = self.model.vision_embed_tokens
            input_ids, inputs_embeds = None, embed(input_ids, pixel_values, image_sizes)
        return super().forward(
            input_ids,
            attention_mask,
            position_ids,
            past_key_values,
            inputs_embeds,
            labels,
            use_cache,
            logits_to_keep,
            **kwargs,
        )

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.LongTensor,
        *,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
        num_img_tokens: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        inputs = super().prepare_inputs_for_generation(input_ids, **kwargs)
        # Where the prompt is read: at first, always without a cache, and once more at token 4,097,
        # where LongRoPE's long factors begin to hold for every position and Phi-3 starts anew.
        read = inputs.get("input_ids")
        if pixel_values is not None and read is not None and bool((read < 0).any()):
            inputs |= {"pixel_values": pixel_values, "image_sizes": image_sizes}
        return inputs

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        pictures = {name: kwargs.pop(name, None) for name in ("pixel_values", "image_sizes")}
        if expand_size > 1 and input_ids is not None:
            # A row that is repeated, for beams or several answers, takes all its pictures along.
            counts = [len(row[row < 0].unique()) for row in input_ids]
            for name, values in pictures.items():
                if values is not None:
                    parts = [part for part in values.split(counts) for _ in range(expand_size)]
                    pictures[name] = torch.cat(parts)
        ids, others = super()._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **kwargs
        )
        return ids, others | pictures

    def adjust_generation_fn(self, *args: Any, **kwargs: Any) -> None:
        super().adjust_generation_fn(*args, **kwargs)
        if self.generation_config.eos_token_id == LLAMA_END:  # read from the files, past the config
            self.generation_config.eos_token_id = list(CHAT_ENDS)
