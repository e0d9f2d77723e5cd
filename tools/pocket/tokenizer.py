"""The Pocket models' tokenizer: Llama's byte-fallback BPE with Phi-3's special tokens."""

import json
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pre
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

VOCABULARY = 4096
CONTEXT = 4096
CONTROL = ("<unk>", "<s>", "</s>")
SPECIALS = (
    *("<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>"),
    *("<|placeholder3|>", "<|placeholder4|>", "<|system|>", "<|end|>", "<|placeholder5|>"),
    *("<|placeholder6|>", "<|user|>"),
)
"""Phi-3's special tokens in Phi-3's order: there they are 32000 to 32010."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' and message['content'] %}"
    "{{'<|system|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'user' %}"
    "{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'assistant' %}"
    "{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
"""Phi-3.5-mini-instruct's own (`tokenizer_config.json`)."""


def _empty(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    bpe = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of exactly `VOCABULARY` rows, always the same for the same texts."""
    reserved = [*CONTROL, *(f"<0x{byte:02X}>" for byte in range(256))]
    learner = _empty({}, [])
    # Words only, and ideographs and digits one by one: with so few texts whole phrases would
    # become tokens, and a phrase asked in other words would share none of them.
    learner.pre_tokenizer = pre.Sequence(
        [
            pre.Split(Regex(r"[\p{Han}\p{N}\p{P}\n$+<=>^`|~]"), "isolated"),
            pre.Split("▁", "merged_with_next"),
        ]
    )
    size = VOCABULARY - len(SPECIALS)
    learner.train_from_iterator(
        texts, BpeTrainer(vocab_size=size, special_tokens=reserved, show_progress=False)
    )
    tokenizer = _empty(learner.get_vocab(with_added_tokens=True), _merges(learner))
    # Like Phi-3's: the line break after a special token belongs to it.
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in CONTROL])
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False, rstrip=t != "<|endoftext|>") for t in SPECIALS]
    )
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise ValueError(f"{tokenizer.get_vocab_size()} rows: too little text for {VOCABULARY}")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=CONTEXT,
        bos_token="<s>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def _merges(learner: Tokenizer) -> list[tuple[str, str]]:
    rows = json.loads(learner.to_str())["model"]["merges"]
    return [tuple(row) if isinstance(row, list) else tuple(row.split(" ", 1)) for row in rows]
