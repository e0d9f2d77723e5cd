"""Model files: found where they are, fetched where they are not, from a small Hub on loopback."""

import asyncio
import json
import shutil
from collections import namedtuple
from contextlib import aclosing

import psutil
import pytest

from backends import AuthenticationError, BackendConnectionError, ModelNotFoundError, OutOfDiskError
from backends._local import weights
from backends._local.download import Rate, download, kept_size, progress_detail
from tests import tiny
from tests.hub import Hub, etag

REPO = "microsoft/Phi-3.5-mini-instruct"
LABEL = "Phi-3.5-mini"
WEIGHTS = "model-00001-of-00001.safetensors"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty Hugging Face cache."""
    for name in ("HF_HOME", "XDG_CACHE_HOME", "PHI_MODELS_DIR", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def hub(monkeypatch):
    """A Hub with one model: 24 MB of weights, a config, a tokenizer, and files nobody needs."""
    index = {"weight_map": {"a": WEIGHTS}}
    hub = Hub(
        REPO,
        {
            "config.json": b'{"model_type": "phi3"}',
            "tokenizer.json": b"{}",
            "model.safetensors.index.json": json.dumps(index).encode(),
            WEIGHTS: bytes(range(256)) * 96_000,
            "modeling_phi3.py": b"raise SystemExit",
            "pytorch_model.bin": b"a pickle",
        },
    )
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    yield hub
    hub.close()


async def fetch():
    return [step async for step in download(REPO, LABEL)]


@pytest.mark.engine
def test_finds_a_checkpoint_in_the_hub_cache(cache):
    assert weights.find(REPO) is None
    tiny.hub_cache(cache, REPO)
    assert weights.find(
        REPO
    ) == cache / "models--microsoft--Phi-3.5-mini-instruct" / "snapshots" / ("0" * 39 + "1")


@pytest.mark.engine
@pytest.mark.parametrize("folder", ["microsoft/Phi-3.5-mini-instruct", "Phi-3.5-mini-instruct"])
def test_finds_a_checkpoint_in_the_models_folder_first(cache, tmp_path, monkeypatch, folder):
    tiny.hub_cache(cache, REPO)
    shutil.copytree(tiny.checkpoint(), tmp_path / "models" / folder)
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path / "models"))
    assert weights.find(REPO) == tmp_path / "models" / folder


@pytest.mark.engine
@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_incomplete_checkpoint_is_none(tmp_path, missing):
    folder = shutil.copytree(tiny.checkpoint(), tmp_path / "phi")
    assert weights.is_complete(folder)
    (folder / missing).unlink()
    assert not weights.is_complete(folder)


@pytest.mark.engine
def test_every_shard_of_the_index_must_be_there(tmp_path):
    folder = shutil.copytree(tiny.checkpoint(), tmp_path / "phi")
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert not weights.is_complete(folder)
    shutil.copy(folder / "model.safetensors", folder / "model-2.safetensors")
    assert weights.is_complete(folder)
    (folder / "model.safetensors.index.json").write_text("{")
    assert not weights.is_complete(folder)


@pytest.mark.engine
def test_counts_parameters_from_the_headers():
    from safetensors import safe_open

    with safe_open(tiny.checkpoint() / "model.safetensors", "pt") as file:
        counted = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    assert weights.parameter_count(tiny.checkpoint()) == counted


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a/hub", "HF_HOME": "/b"}, "/a/hub"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_library_has_it(cache, monkeypatch, variables, expected):
    monkeypatch.delenv("HF_HUB_CACHE")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(weights.hub_cache()) == expected


async def test_downloads_what_a_model_needs_and_nothing_else(cache, hub):
    steps = await fetch()
    folder = weights.find(REPO)
    assert folder is not None
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert {name for name, _ in hub.asked} == set(hub.files) - {
        "modeling_phi3.py",
        "pytorch_model.bin",
    }
    assert {step.stage for step in steps} == {"downloading"}
    fractions = [step.fraction for step in steps if step.fraction is not None]
    assert fractions == sorted(fractions)
    assert steps[1].detail == "0 of 25 MB"


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "no:such:proxy"])
async def test_a_proxy_that_cannot_be_used_is_named(cache, hub, monkeypatch, proxy: str):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(BackendConnectionError, match="cannot be used") as caught:
        await fetch()
    assert "huggingface.co in NO_PROXY" in str(caught.value.hint)


async def test_a_broken_download_says_so_and_goes_on_from_there(cache, hub):
    hub.break_at = 12_000_000
    with pytest.raises(BackendConnectionError, match="broke off") as caught:
        await fetch()
    assert "goes on from there" in caught.value.hint
    assert weights.find(REPO) is None

    hub.status = 200
    steps = await fetch()
    kept = 10 * 2**20  # the library writes in pieces of 10 MiB
    assert [span for name, span in hub.asked if name == WEIGHTS] == [None, f"bytes={kept}-"]
    assert 0.3 < steps[1].fraction < 0.5
    folder = weights.find(REPO)
    assert folder is not None
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


async def test_cancel_ends_the_child_and_keeps_what_came(cache, hub):
    hub.hold_at = 12_000_000
    async with aclosing(download(REPO, LABEL)) as steps:
        async for step in steps:
            if step.fraction and step.fraction > 0.3:
                break
    assert hub.held.is_set()
    hub.hold_at = None
    hub.go_on.set()
    await fetch()
    resumed = [span for name, span in hub.asked if name == WEIGHTS][1]
    assert resumed is not None
    assert weights.find(REPO) is not None


async def test_cancelling_the_task_ends_the_child(cache, hub):
    others = set(psutil.Process().children())  # such as the browser of other tests
    hub.hold_at = 1_000_000
    task = asyncio.create_task(fetch())
    await asyncio.to_thread(hub.held.wait)
    assert set(psutil.Process().children()) - others, "there is a child to end"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [child for child in set(psutil.Process().children()) - others if child.is_running()]


async def test_damage_on_the_way_is_noticed(cache, hub):
    good = hub.files[WEIGHTS]
    name = etag(WEIGHTS, good)
    hub.break_at = 12_000_000
    with pytest.raises(BackendConnectionError):
        await fetch()
    part = next(cache.rglob(f"{name}.incomplete"))
    part.write_bytes(b"x" + part.read_bytes()[1:])
    hub.status = 200
    with pytest.raises(BackendConnectionError):
        await fetch()
    await fetch()
    folder = weights.find(REPO)
    assert folder is not None
    assert (folder / WEIGHTS).read_bytes() == good


async def test_a_full_disk_is_refused_with_numbers_before_anything_comes(cache, hub, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 3_000_000, 3_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(OutOfDiskError) as caught:
        await fetch()
    assert caught.value.message == "Phi-3.5-mini needs 25 MB more on the disk; 3 MB is free."
    assert hub.asked == []


async def test_offline_is_said_in_a_sentence(cache, hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BackendConnectionError, match="switched off here") as caught:
        await fetch()
    assert "HF_HUB_OFFLINE" in caught.value.hint


async def test_no_network_is_said_in_a_sentence(cache, hub):
    hub.close()
    with pytest.raises(BackendConnectionError, match="cannot be reached"):
        await fetch()


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, AuthenticationError)]
)
async def test_a_refusal_is_told_apart(cache, hub, status, error):
    hub.status = status
    with pytest.raises(error):
        await fetch()


async def test_a_model_that_is_gone_is_told_apart(cache, hub):
    hub.repo = "microsoft/another"
    with pytest.raises(ModelNotFoundError):
        await fetch()


@pytest.mark.parametrize(
    ("done", "total", "per_second", "text"),
    [
        (0, 2_780_000_000, None, "0.0 of 2.8 GB"),
        (1_200_000_000, 2_780_000_000, 14e6, "1.2 of 2.8 GB · 14 MB/s · 2 min left"),
        (2_700_000_000, 2_780_000_000, 2.04e6, "2.7 of 2.8 GB · 2.0 MB/s · 40 s left"),
        (2_770_000_000, 2_780_000_000, 14e6, "2.8 of 2.8 GB · 14 MB/s · under 10 s left"),
        (0, 7_640_000_000, 1e6, "0.0 of 7.6 GB · 1.0 MB/s · 2 h 10 min left"),
        (0, 7_640_000_000, 2.1e6, "0.0 of 7.6 GB · 2.1 MB/s · 1 h left"),
        (1_200_000_000, 2_780_000_000, 0.0, "1.2 of 2.8 GB · 0.0 MB/s"),
        (2_780_000_000, 2_780_000_000, 14e6, "2.8 of 2.8 GB · checking"),
        (12_000_000, 24_000_000, None, "12 of 24 MB"),
    ],
)
def test_a_download_says_how_fast_it_is_and_how_long_it_takes(done, total, per_second, text):
    assert progress_detail(done, total, per_second) == text


def test_the_rate_is_that_of_the_last_seconds():
    rate = Rate()
    assert rate.per_second is None
    rate.add(100.0, 5_000)  # what was kept of an earlier try did not come just now
    rate.add(101.0, 5_100)
    assert rate.per_second is None, "too early to say"
    rate.add(102.0, 5_200)
    assert rate.per_second == 100
    for second in range(103, 140):
        rate.add(second, 5_200)
    assert rate.per_second == 0, "it stands still"
    for second in range(140, 160):
        rate.add(second, 5_200 + 30 * (second - 139))
    assert rate.per_second == 30


@pytest.mark.parametrize("broken", ["config.json", "tokenizer.json"])
async def test_a_small_file_of_the_right_size_that_is_another_is_refused(cache, hub, broken):
    hub.swapped = broken
    with pytest.raises(BackendConnectionError, match="broke off"):
        await fetch()
    assert weights.find(REPO) is None
    hub.swapped = None
    await fetch()
    assert weights.find(REPO) is not None


async def test_what_came_in_part_counts_as_kept(cache, hub):
    assert kept_size(REPO) == 0
    hub.break_at = 12_000_000
    with pytest.raises(BackendConnectionError):
        await fetch()
    assert kept_size(REPO) == 10_485_760, "a piece of the library, which writes them whole"
    hub.status = 200
    await fetch()
    assert kept_size(REPO) == 0
