"""Where a model goes on a machine, and what is said of that beforehand."""

import pytest

from backends import MODELS, GenerationParams, Message, MissingDependencyError
from backends._local import placement as placement
from backends._local import torch_engine, torch_model
from backends._local.placement import RESERVE, ModelSize, Placement, place
from backends._local.torch_moe import MoeModel
from backends.transformers import Transformers

GB = 10**9
MOE = ModelSize(need=84 * GB, active=13.2 * GB, layers=32)
DENSE = ModelSize(need=28 * GB, active=28 * GB, layers=40)
MOE_ID = "microsoft/Phi-3.5-MoE-instruct"


def where(size: ModelSize, gpus: tuple[int, ...], memory: int) -> tuple[str, float] | None:
    found = place(size, [gpu * GB for gpu in gpus], memory * GB)
    return (found.where, round(found.offloaded / GB, 1)) if found else None


@pytest.mark.parametrize(
    ("gpus", "memory", "expected"),
    [
        ((141,), 64, ("single_gpu", 0)),
        ((24, 141), 64, ("single_gpu", 0)),
        ((84,), 64, ("cpu_offload", 5.2)),  # its own context takes some of it
        ((80, 80), 64, ("multi_gpu", 0)),
        ((43, 43), 64, ("cpu_offload", 7.9)),  # 86 GB, but half a layer is left over in each
        ((80,), 128, ("cpu", 0)),  # a processor reads 13 GB for a token, a GPU would be sent 10
        ((), 128, ("cpu", 0)),
        ((80,), 32, ("cpu_offload", 10.5)),
        ((24, 24), 64, ("cpu_offload", 44.6)),
        ((24,), 32, None),
        ((4,), 80, None),
        ((), 24, None),
    ],
)
def test_a_mixture_of_84_gb_goes_where_it_runs_fastest(gpus, memory, expected):
    assert where(MOE, gpus, memory) == expected


@pytest.mark.parametrize(
    ("gpus", "memory", "expected"),
    [((48,), 64, ("single_gpu", 0)), ((24,), 64, ("cpu_offload", 6.3)), ((8,), 64, ("cpu", 0))],
)
def test_a_dense_model_reads_all_of_itself(gpus, memory, expected):
    assert where(DENSE, gpus, memory) == expected


def test_a_model_that_does_not_spread_stays_in_one_piece():
    whole = ModelSize(84 * GB, 84 * GB, supports_device_map=False)
    assert where(whole, (80, 80), 128) == ("cpu", 0)
    assert where(whole, (80, 80), 64) is None


@pytest.fixture
def offer(monkeypatch, tmp_path):
    """What the page says of Phi-3.5-MoE beforehand, on a machine with this memory."""

    def offer(memory: int, *gpus: int):
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        monkeypatch.delenv("PHI_MODELS_DIR", raising=False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr("backends.transformers.has_gpu", lambda: bool(gpus))
        monkeypatch.setattr("backends.transformers.total_memory", lambda: memory * GB)
        monkeypatch.setattr("backends.transformers.gpu_memory", lambda: tuple(g * GB for g in gpus))
        return Transformers().offer(MODELS["phi-3.5-moe"])

    return offer


def test_what_is_too_large_is_said_with_numbers_and_what_there_is_instead(offer):
    status = offer(24).status
    assert (status.state, status.code) == ("unreachable", "too_large")
    assert "needs 84 GB of memory, it has 24 GB." in status.message
    assert "Pocket-MoE" in status.message and "llama.cpp" in status.message
    assert "it has 24 GB, and a GPU of 24 GB." in offer(24, 24).status.message


def test_several_gpus_and_slow_ways_are_said_before_the_download(offer):
    assert "laid over 2 GPUs" in offer(32, 80, 80).status.message
    slow = offer(32, 80).status
    assert slow.code == "not_downloaded"
    assert "download of about 84 GB" in slow.message
    assert "About 10.5 GB of it do not fit into the GPU memory" in slow.message
    assert "which takes some 0.4 s" in slow.message
    assert "runs on the processor" in offer(128, 24).status.message
    assert "GPU" not in offer(128).status.message


def test_the_program_lays_it_out_where_the_page_would(offer):
    backend, hi = Transformers(), [Message.of("user", "Hi")]
    offer(64, 80, 80)
    program = backend.snippet(MOE_ID, hi, GenerationParams()) or ""
    assert 'device_map="auto"' in program and "accelerate==" in program
    assert "model.to(device)" not in program
    offer(128)
    program = backend.snippet(MOE_ID, hi, GenerationParams()) or ""
    assert "model.to(device)" in program and "device_map" not in program
    assert "trust_remote_code" not in program


@pytest.mark.engine
def test_without_accelerate_its_install_line_is_said(offer, monkeypatch):
    import torch

    for module in ("backends.transformers", "backends._local.torch_model"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)
    status = offer(32, 80, 80).status
    assert (status.state, status.code) == ("not installed", "missing_dependency")
    assert "pip install accelerate" in status.message
    with pytest.raises(MissingDependencyError) as caught:
        MoeModel._from_pretrained_kwargs(
            "Phi-3.5-MoE", "cuda:0", torch.bfloat16, Placement("multi_gpu", 2)
        )
    assert "pip install accelerate" in caught.value.hint
    assert MoeModel._from_pretrained_kwargs("x", "cuda:0", torch.bfloat16, None) == {
        "dtype": "auto"
    }


@pytest.mark.engine
def test_what_is_put_together_anew_goes_straight_to_its_gpu():
    """In main memory first, 84 GB would have to fit there too."""
    import torch

    layout = {"dtype": torch.bfloat16, "device_map": {"": "cuda:1"}}
    assert MoeModel._from_pretrained_kwargs("x", "cuda:1", torch.bfloat16, None) == layout
    assert MoeModel._from_pretrained_kwargs("x", "cpu", torch.bfloat16, None) == {"dtype": "auto"}
    dense = torch_model.TorchModel._from_pretrained_kwargs("x", "cuda:1", torch.bfloat16, None)
    assert dense == {"dtype": "auto"}


def test_room_is_asked_for_on_every_device(monkeypatch):
    free = {"cuda:0": 70 * GB, "cuda:1": 60 * GB}
    monkeypatch.setattr(torch_model, "free_on", free.__getitem__)
    monkeypatch.setattr(torch_model, "free_memory", lambda: 30 * GB)
    assert torch_model.free_over("cuda:0", None) == 70 * GB
    assert torch_model.free_over("cuda:0", Placement("multi_gpu", 2)) == 130 * GB - 2 * RESERVE
    assert torch_model.free_over("cuda:0", Placement("cpu_offload", 2, 1)) == 160 * GB - 3 * RESERVE


@pytest.mark.engine
@pytest.mark.parametrize(
    ("found", "gpus", "device"),
    [
        (Placement("single_gpu", 2), (24, 80), "cuda:1"),
        (Placement("multi_gpu", 2), (80, 80), "cuda:0"),
        (Placement("cpu_offload", 1, 9), (24,), "cuda:0"),
        (Placement("cpu", 1), (24,), "cpu"),
        (None, (24,), "cuda:0"),
        (None, (), "cpu"),
    ],
)
def test_the_device_that_is_asked(found, gpus, device, monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert torch_model.device_for(found, gpus) == device


@pytest.mark.engine
def test_a_busy_gpu_is_passed_over(monkeypatch):
    used = [0]
    monkeypatch.setattr(torch_model, "used_on_gpus", lambda: used[0])
    monkeypatch.setattr(torch_model, "gpus", lambda: (100 * GB, 100 * GB))
    free = {"cuda:0": 5 * GB, "cuda:1": 90 * GB}
    monkeypatch.setattr(torch_model, "free_on", free.__getitem__)
    found, gpus = torch_engine.placed(MOE)
    assert found and found.where == "single_gpu" and torch_model.device_for(found, gpus) == "cuda:1"
    free["cuda:1"] = 5 * GB  # nothing is free, but what is there could be
    monkeypatch.setattr(torch_engine, "free_memory", lambda: 5 * GB)
    found, gpus = torch_engine.placed(MOE)
    assert found and found.where == "single_gpu" and torch_model.device_for(found, gpus) == "cuda:0"
    used[0] = 90 * GB  # a model of ours is there: it goes before this one is laid elsewhere
    monkeypatch.setattr(torch_engine, "free_memory", lambda: 500 * GB)
    found, gpus = torch_engine.placed(MOE)
    assert found and found.where == "single_gpu" and torch_model.device_for(found, gpus) == "cuda:0"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (None, (10, 20, 30)),
        ("", ()),
        ("-1", ()),
        ("2", (30,)),
        ("1,0", (20, 10)),
        ("7", ()),
        ("GPU-8932f937-d72c", (10,)),
    ],
)
def test_gpus_that_this_process_may_not_use_do_not_count(shown, expected, monkeypatch):
    monkeypatch.setattr(placement, "_known", (10, 20, 30))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert placement.gpu_memory() == expected


def test_the_driver_is_asked_where_there_is_a_gpu_and_no_oftener_than_needed(monkeypatch, tmp_path):
    monkeypatch.setattr(placement, "_known", ())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(placement, "_failed", float("-inf"))
    monkeypatch.setattr(placement, "has_gpu", lambda: False)
    asked = tmp_path / "asked"
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\necho x >> {asked}\nexit 9\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert placement.gpu_memory() == ()
    assert not asked.exists()  # nobody is asked where there is no GPU
    monkeypatch.setattr(placement, "has_gpu", lambda: True)
    assert [placement.gpu_memory() for _ in range(9)] == [()] * 9
    assert asked.read_text() == "x\n"  # once, not for every model on the board
    monkeypatch.setattr(placement, "_failed", float("-inf"))
    driver.write_text(f"#!/bin/sh\necho x >> {asked}\necho 81559\necho 24564\n")
    expected = (81559 * 2**20, 24564 * 2**20)
    assert [placement.gpu_memory() for _ in range(9)] == [expected] * 9
    assert asked.read_text() == "x\nx\n"
