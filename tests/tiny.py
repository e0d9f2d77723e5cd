"""A tiny taught Phi-3: two layers with a few answers by heart, so that text can be asserted."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

QUESTIONS = {
    "What is the capital of France?": "Paris is the capital of France.",
    "Say hello in four ways.": "Hello! ¡Olá! 你好！ 👋🏽 — done.",
    "你知道长沙吗？": "知道，长沙是湖南省的省会。",
    "Count to twelve.": "one two three four five six seven eight nine ten eleven twelve",
    "Count on and on.": " ".join(f"n{n}" for n in range(40)),
    "Write like a server.": "Here it is:<stop>and this comes after it.",
}
"""What it was taught: questions and the exact answers it gives at temperature 0."""

SURE = 0.9
"""The least chance of each token of an answer: it leads by 2 in logits, whichever processor taught
it or asks it, and in bfloat16 too, which moves them by 0.1."""

SPECIALS = (
    *("<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|placeholder1|>"),
    *("<|system|>", "<|end|>", "<|user|>", "<|placeholder2|>"),
)
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\\n' + "
    "message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\\n' + "
    "message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}"
    "{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)
"""Phi-3.5-mini's own."""

BUILD = Path(__file__).parents[1] / "build" / "tiny"


def checkpoint() -> Path:
    """The folder of the taught model, made at the first call and kept under `build/`."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    folder = BUILD / recipe
    if not folder.is_dir():
        BUILD.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=BUILD))
        _make(unfinished)
        try:
            unfinished.rename(folder)
        except OSError:  # another test run was faster
            shutil.rmtree(unfinished)
    return folder


def hub_cache(root: Path, hub_id: str) -> Path:
    """Lay the checkpoint out as the Hugging Face cache would hold `hub_id`. Returns the cache."""
    repo = root / f"models--{hub_id.replace('/', '--')}"
    commit = "0" * 39 + "1"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots" / commit).mkdir(parents=True)
    for file in checkpoint().iterdir():
        os.link(file, repo / "snapshots" / commit / file.name)
    return root


def _make(folder: Path) -> None:
    import torch
    from transformers import Phi3Config, Phi3ForCausalLM

    tokenizer = new_tokenizer()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a model this small only loses by sharing
    torch.manual_seed(0)
    model = Phi3ForCausalLM(
        Phi3Config(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=3,
            max_position_embeddings=131_072,
            original_max_position_embeddings=4096,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 10_000.0,
                "short_factor": [1.0] * 16,
                "long_factor": [4.0] * 16,
            },
            sliding_window=262_144,
            bos_token_id=1,
            eos_token_id=3,
            pad_token_id=3,
        )
    )
    _teach(model, tokenizer)
    # As Microsoft's: the settings name three ends of an answer, the tokenizer one.
    model.generation_config.eos_token_id = [3, 4, 7]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    torch.set_num_threads(threads)


def new_tokenizer():
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers
    from transformers import PreTrainedTokenizerFast

    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizer
    texts = [text for text in [*QUESTIONS, *QUESTIONS.values()] if text.isascii()]
    alphabet = [*map(chr, range(33, 127)), "▁"]
    learner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=240, initial_alphabet=alphabet, show_progress=False)
    )
    learned = json.loads(learner.to_str())["model"]
    # Anything beyond ASCII reaches the model as bytes, two to four to a character.
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = [*SPECIALS, *bytes_, *sorted(learned["vocab"], key=learned["vocab"].get)]
    inner = Tokenizer(
        models.BPE(
            vocab={text: n for n, text in enumerate(vocabulary)},
            merges=[tuple(merge) for merge in learned["merges"]],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    inner.normalizer = normalizer
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    inner.add_special_tokens([AddedToken(text, special=True) for text in SPECIALS])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="<|endoftext|>",
        unk_token="<unk>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _teach(model, tokenizer) -> None:
    import torch

    rows, targets = [], []
    for question, answer in QUESTIONS.items():
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False
        )
        start = tokenizer.encode(prompt, add_special_tokens=False)
        ids = tokenizer.encode(prompt + answer + "<|end|>", add_special_tokens=False)
        rows.append(torch.tensor(ids))
        targets.append(torch.tensor([-100] * len(start) + ids[len(start) :]))
    pad = torch.nn.utils.rnn.pad_sequence
    batch = pad(rows, batch_first=True, padding_value=3)
    labels = pad(targets, batch_first=True, padding_value=-100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    model.train()
    asked = labels[:, 1:] >= 0
    for _ in range(400):
        made = model(batch, labels=labels)
        chances = made.logits[:, :-1].softmax(-1).gather(-1, labels[:, 1:, None].clamp(min=0))
        loss, least = made.loss.item(), chances[..., 0][asked].min().item()
        if loss < 1e-2 and least > SURE:
            break
        made.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    else:
        raise AssertionError(f"it did not learn its lines: loss {loss:.3f}, {least:.3f}")
    model.eval()
