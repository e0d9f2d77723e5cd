"""Where a model goes on a machine, and what is said of that beforehand."""

import pytest

from backends import MODELS, GenerationParams, Message, MissingDependencyError, _torch
from backends._placement import Placement, place
from backends.transformers import Transformers

GB = 10**9


@pytest.mark.parametrize(
    ("gpus", "memory", "expected"),
    [
        ((141,), 64, Placement("gpu", 1)),
        ((24, 141), 64, Placement("gpu", 1)),
        ((80, 80), 64, Placement("gpus", 2)),
        ((80, 80), 256, Placement("gpus", 2)),
        ((80,), 128, Placement("memory")),
        ((), 128, Placement("memory")),
        ((80,), 32, Placement("spread", 1, 4 * GB)),
        ((24, 24), 64, Placement("spread", 2, 36 * GB)),
        ((24,), 32, None),
        ((), 24, None),
    ],
)
def test_a_model_of_84_gb_goes_where_it_runs_fastest(gpus, memory, expected):
    assert place(84 * GB, [gpu * GB for gpu in gpus], memory * GB) == expected


def test_a_model_that_does_not_spread_stays_in_one_piece():
    assert place(84 * GB, [80 * GB, 80 * GB], 128 * GB, spreads=False) == Placement("memory")
    assert place(84 * GB, [80 * GB, 80 * GB], 64 * GB, spreads=False) is None


@pytest.fixture
def offer(monkeypatch, tmp_path):
    """What the page says of Phi-3.5-MoE beforehand, on a machine with this memory."""

    def offer(memory: int, *gpus: int):
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        monkeypatch.delenv("PHI_MODELS_DIR", raising=False)
        monkeypatch.setattr("backends.transformers.total_memory", lambda: memory * GB)
        monkeypatch.setattr("backends.transformers.gpu_memory", lambda: tuple(g * GB for g in gpus))
        return Transformers()._offer(MODELS["phi-3.5-moe"])

    return offer


def test_what_is_too_large_is_said_with_numbers_and_what_there_is_instead(offer):
    status = offer(24).status
    assert (status.state, status.code) == ("unreachable", "too_large")
    assert "needs 84.0 GB of memory, it has 24.0 GB." in status.message
    assert "Pocket-MoE" in status.message and "server" in status.message
    assert "24.0 GB and a GPU of 24.0 GB" in offer(24, 24).status.message


def test_several_gpus_and_slow_ways_are_said_before_the_download(offer):
    assert "laid over 2 GPUs" in offer(32, 80, 80).status.message
    slow = offer(32, 80).status
    assert slow.code == "not_downloaded"
    assert "download of about 83.7 GB" in slow.message
    assert "4.0 GB of it do not fit into the GPU memory" in slow.message
    assert "0.2 s each" in slow.message
    assert "GPU" not in offer(128).status.message


def test_the_program_lays_it_out_where_the_page_would(offer):
    backend, hi = Transformers(), [Message.of("user", "Hi")]
    offer(64, 80, 80)
    program = backend.code("microsoft/Phi-3.5-MoE-instruct", hi, GenerationParams()) or ""
    assert 'device_map="auto"' in program and "pip install accelerate" in program
    assert "model.to(device)" not in program
    offer(128)
    program = backend.code("microsoft/Phi-3.5-MoE-instruct", hi, GenerationParams()) or ""
    assert "model.to(device)" in program and "device_map" not in program
    assert "trust_remote_code" not in program


def test_without_accelerate_its_install_line_is_said(offer, monkeypatch):
    for module in ("backends.transformers", "backends._torch"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)
    assert "pip install accelerate" in offer(32, 80, 80).status.message
    with pytest.raises(MissingDependencyError) as caught:
        _torch._layout("Phi-3.5-MoE", Placement("gpus", 2), None)  # type: ignore[arg-type]
    assert "pip install accelerate" in caught.value.hint


def test_room_is_asked_for_on_every_device(monkeypatch):
    free = {"cuda:0": 70 * GB, "cuda:1": 60 * GB}
    monkeypatch.setattr(_torch, "free_on", free.__getitem__)
    monkeypatch.setattr(_torch, "free_memory", lambda: 30 * GB)
    assert _torch.free_over("cuda:0", None) == 70 * GB
    assert _torch.free_over("cuda:0", Placement("gpus", 2)) == 130 * GB
    assert _torch.free_over("cuda:0", Placement("spread", 2, 1)) == 160 * GB


@pytest.mark.parametrize(
    ("placement", "gpus", "device"),
    [
        (Placement("gpu", 1), (24, 80), "cuda:1"),
        (Placement("gpus", 2), (24, 80), "cuda:0"),
        (Placement("spread", 1, 9), (24,), "cuda:0"),
        (Placement("memory"), (24,), "cpu"),
        (None, (24,), "cuda:0"),
        (None, (), "cpu"),
    ],
)
def test_the_device_that_is_asked(placement, gpus, device, monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert _torch.device_for(placement, gpus) == device
