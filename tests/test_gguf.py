"""GGUF files: what they say of themselves, where they lie, and which of them are models."""

import json
import os
import random
import struct
import sys
from pathlib import Path

import pytest

from backends._local import gguf, gguf_header
from backends._local.gguf_header import GGUFError
from tests.gguf_files import CHAT, TENSORS, VALUES, write


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home in which nothing lies yet."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    for name in ("OLLAMA_MODELS", "LLAMA_CACHE", "HF_HUB_CACHE", "HF_HOME", "PHI_MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)


def models() -> dict[str, Path]:
    return {one.model: one.file for one in gguf.find()}


# Headers


def test_a_header_tells_what_the_page_needs(tmp_path: Path) -> None:
    header = gguf_header.read(write(tmp_path / "a.gguf"))
    assert (header.architecture, header.name, header.file_type) == ("phi3", "Mine", "Q4_0")
    assert (header.context, header.vocabulary, header.template) == (4096, 6, CHAT)
    assert header.parameters == header.active_parameters == 64 * 6 + 64 * 32
    assert header.cache_per_token == 2 * 2 * (1 * 2 * 32), "two layers, a head of 32, in 16 bits"
    assert header.read_per_token == 64 * 6 * 4 + 64 * 32 // 32 * 18, "the embeddings are tied"
    assert header.size == (tmp_path / "a.gguf").stat().st_size and header.chats


def test_embeddings_that_are_only_looked_up_are_not_read(tmp_path: Path) -> None:
    header = gguf_header.read(
        write(tmp_path / "a.gguf", tensors=(*TENSORS, ("output.weight", (64, 6), 2)))
    )
    assert header.read_per_token == 64 * 32 // 32 * 18 + 64 * 6 // 32 * 18


def test_of_a_mixture_only_the_experts_at_work_count(tmp_path: Path) -> None:
    experts = (*TENSORS, ("blk.0.ffn_up_exps.weight", (64, 32, 16), 2))
    header = gguf_header.read(
        write(
            tmp_path / "a.gguf", tensors=experts, phi3__expert_count=16, phi3__expert_used_count=2
        )
    )
    dense = 64 * 6 + 64 * 32
    assert header.parameters == dense + 64 * 32 * 16
    assert header.active_parameters == dense + 64 * 32 * 2


def test_layers_may_differ_in_their_heads(tmp_path: Path) -> None:
    header = gguf_header.read(
        write(
            tmp_path / "a.gguf",
            phi3__attention__head_count_kv=[1, 3],
            phi3__attention__key_length=8,
            phi3__attention__value_length=4,
        )
    )
    assert header.cache_per_token == 2 * (1 + 3) * (8 + 4)


def test_a_long_vocabulary_is_passed_over(tmp_path: Path) -> None:
    """In pieces, whose ends fall anywhere; some texts are longer than a piece."""
    last = write(tmp_path / "b.gguf", {}, (), tokenizer__ggml__tokens=["x" * 65_525, ""])
    whole = last.read_bytes()
    last.write_bytes(whole.rstrip(b"\0") + b"\0" * 8)  # it ends with its last text, of no length
    assert gguf_header.read(last).vocabulary == 2
    for tokens in (["x" * (n % 40) for n in range(20_000)], ["y" * 70_000] * 3, ["z" * 65_528] * 3):
        file = write(tmp_path / "a.gguf", tokenizer__ggml__tokens=tokens)
        assert gguf_header.read(file).vocabulary == len(tokens)
        assert gguf_header.read(file).chats, "what follows is read too"


def test_control_tokens_are_read_longest_first(tmp_path: Path) -> None:
    assert gguf_header.control_tokens(write(tmp_path / "a.gguf")) == ["<|end|>", "</s>", "<s>"]


@pytest.mark.parametrize(
    "change",
    [
        {"general__type": "mmproj"},
        {"general__architecture": "clip"},
        {"general__architecture": "nomic-bert"},
        {"phi3__pooling_type": 3},
        {"tokenizer__chat_template": None},
        {"tensors": ()},
    ],
    ids=str,
)
def test_what_does_not_chat_is_no_model(tmp_path: Path, monkeypatch, change) -> None:
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path))
    write(tmp_path / "a.gguf", **change)
    assert not gguf_header.read(tmp_path / "a.gguf").chats and not models()


def test_a_file_that_is_not_all_here_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path))
    whole = write(tmp_path / "a.gguf").read_bytes()
    for length in (0, 3, 11, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.gguf").write_bytes(whole[:length])
        with pytest.raises(GGUFError):
            gguf_header.read(tmp_path / "a.gguf")
        assert models() == {}
    (tmp_path / "a.gguf").write_bytes(whole)
    assert [*models()] == ["a.gguf"], "once it has all come"


@pytest.mark.parametrize(
    "head",
    [
        b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
        b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62),
        b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"a", 77),
        b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 9, 1),
        b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 8, 10_000_000),
        b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"a", 4_000_000_000),
    ],
    ids=lambda head: head[4:].hex()[:24],
)
def test_a_header_that_lies_is_no_model(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.gguf").write_bytes(head + b"\0" * 1000)
    with pytest.raises(GGUFError):
        gguf_header.read(tmp_path / "a.gguf")


def test_garbage_is_never_more_than_an_error(tmp_path: Path) -> None:
    whole, chance = write(tmp_path / "whole.gguf").read_bytes(), random.Random(0)
    told = 0
    for n in range(300):
        data = bytearray(whole)
        for _ in range(8):
            data[chance.randrange(4, 700)] = chance.randrange(256)
        (tmp_path / f"{n}.gguf").write_bytes(data)
        try:
            gguf_header.read(tmp_path / f"{n}.gguf")
        except GGUFError:
            told += 1
    assert told > 100


# Split models


def split(folder: Path, count: int = 3) -> list[Path]:
    return [
        write(folder / f"big-{n:05}-of-{count:05}.gguf", VALUES if n == 1 else {})
        for n in range(1, count + 1)
    ]


def test_a_split_model_is_offered_by_its_first_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path))
    files = split(tmp_path)
    (found,) = gguf.find()
    assert found.file == files[0] and found.title == "big"
    assert found.header.size == sum(file.stat().st_size for file in files)
    assert found.header.parameters == 3 * (64 * 6 + 64 * 32)
    files[2].write_bytes(files[2].read_bytes()[:-1])
    assert models() == {}, "the last one is not all here"
    files[2].unlink()
    assert models() == {}


def test_one_of_several_files_under_another_name_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(GGUFError, match="one of several"):
        gguf_header.read(write(tmp_path / "a.gguf", split__count=2))


# Places


def test_every_place_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path / "mine"))
    monkeypatch.setattr(sys, "platform", "linux")
    write(tmp_path / "mine" / "deep" / "er" / "own.GGUF", fill=b"1")
    snapshot = home / ".cache/huggingface/hub/models--microsoft--Phi-3-gguf/snapshots/0123"
    write(snapshot / "phi.gguf", fill=b"2")
    write(home / ".lmstudio/models/someone/phi/lm.gguf", fill=b"3")
    write(home / ".cache/lm-studio/models/someone/phi/old.gguf", fill=b"4")
    write(home / ".cache/llama.cpp/cached.gguf", fill=b"5")
    ollama(home / ".ollama/models", "library/phi3/mini", b"6")
    assert [*models()] == [
        *("deep/er/own.GGUF", "microsoft/Phi-3-gguf/phi.gguf", "someone/phi/lm.gguf"),
        *("someone/phi/old.gguf", "cached.gguf", "ollama/phi3:mini"),
    ]
    assert [(one.title, one.place) for one in gguf.find()] == [
        ("own", "below PHI_MODELS_DIR"),
        ("phi", "in the Hugging Face cache"),
        ("lm", "fetched by LM Studio"),
        ("old", "fetched by LM Studio"),
        ("cached", "fetched by llama.cpp"),
        ("phi3:mini", "fetched by Ollama"),
    ]


def test_variables_and_settings_say_where_else(tmp_path: Path, monkeypatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "llama"))
    (home / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'studio'}\n")
    (tmp_path / "studio").mkdir()
    settings = {"downloadsFolder": str(tmp_path / "large disk")}
    (tmp_path / "studio" / "settings.json").write_text(json.dumps(settings))
    write(tmp_path / "large disk" / "a" / "b" / "lm.gguf", fill=b"1")
    write(tmp_path / "llama" / "cached.gguf", fill=b"2")
    ollama(tmp_path / "ollama", "someone/phi/latest", b"3")
    assert [*models()] == ["a/b/lm.gguf", "cached.gguf", "ollama/someone/phi:latest"]
    for broken in ("", "[]", "{", '{"downloadsFolder": 3}', "[" * 100_000):
        (tmp_path / "studio" / "settings.json").write_text(broken)
        assert "cached.gguf" in models()


@pytest.mark.parametrize(
    ("system", "variable", "below"),
    [
        ("linux", None, ".cache/llama.cpp"),
        ("darwin", None, "Library/Caches/llama.cpp"),
        ("win32", "local", "local/llama.cpp"),
    ],
)
def test_llama_cpp_has_another_cache_on_each_system(
    tmp_path: Path, monkeypatch, system: str, variable: str | None, below: str
) -> None:
    home = tmp_path / "home"
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.delenv("XDG_CACHE_HOME")
    if variable:
        monkeypatch.setenv("LOCALAPPDATA", str(home / variable))
    assert gguf.llama_cache() == home / below


def ollama(store: Path, name: str, fill: bytes, **layer: str) -> Path:
    """A model as Ollama keeps it: a manifest, and blobs."""
    blob = write(store / "blobs" / f"sha256-{fill.hex()}ab", fill=fill)
    about = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{fill.hex()}ab"}
    manifest = store / "manifests" / "registry.ollama.ai" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    other = {"mediaType": "application/vnd.ollama.image.params", "digest": "sha256:00"}
    manifest.write_text(json.dumps({"layers": [other, about | layer]}))
    return blob


def test_links_are_followed_and_dead_ones_are_none(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    blob = ollama(tmp_path / "ollama", "library/phi3/mini", b"1")
    elsewhere = tmp_path / "elsewhere"
    blob.rename(elsewhere)
    assert models() == {}
    blob.symlink_to(elsewhere)
    assert models() == {"ollama/phi3:mini": blob}
    elsewhere.unlink()
    assert models() == {}


@pytest.mark.parametrize(
    "layer",
    [
        {"digest": "sha256:../../secret"},
        {"digest": "md5:1"},
        {"digest": "sha256:"},
        {"mediaType": "application/vnd.ollama.image.projector"},
    ],
    ids=str,
)
def test_a_manifest_names_nothing_but_a_blob(tmp_path: Path, monkeypatch, layer) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    ollama(tmp_path / "ollama", "library/phi3/mini", b"1", **layer)
    write(tmp_path / "secret")
    assert models() == {}


def test_broken_manifests_are_passed_over(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    ollama(tmp_path / "ollama", "library/phi3/mini", b"1")
    for n, broken in enumerate(("", "[]", '{"layers": 3}', '{"layers": [3, null]}', "\xff" * 9)):
        name = tmp_path / "ollama/manifests/registry.ollama.ai/library" / f"broken{n}" / "latest"
        name.parent.mkdir()
        name.write_text(broken, "latin-1")
    assert [*models()] == ["ollama/phi3:mini"]


def test_the_same_file_is_offered_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache"))
    first = write(tmp_path / "mine" / "a.gguf")
    (tmp_path / "mine" / "z.gguf").symlink_to(first)
    os.link(first, tmp_path / "mine" / "y.gguf")
    write(tmp_path / "cache" / "copy.gguf")
    write(tmp_path / "cache" / "other weights.gguf", fill=b"other")
    assert [*models()] == ["a.gguf", "other weights.gguf"]


def test_two_files_of_one_name_have_two_names(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "mine" / "a.gguf")
    other = write(tmp_path / "cache" / "a.gguf", fill=b"other")
    assert models() == {"a.gguf": tmp_path / "mine" / "a.gguf", str(other): other}
