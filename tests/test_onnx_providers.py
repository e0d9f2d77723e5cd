"""Other processors of ONNX Runtime GenAI: found by their packages, named, asked for. All fakes."""

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from backends import (
    REGISTRY,
    Chunk,
    GenerationParams,
    Message,
    MissingDependencyError,
    OutOfMemoryError,
)
from backends._local import onnx_providers, onnx_text
from backends._local.onnx_providers import installed, use_provider
from backends.onnx_genai import BUILDS, GPU_BUILDS
from tests.test_onnx_genai import POCKET, lay_out

BACKEND = REGISTRY["onnx_genai"]
GPU = GPU_BUILDS[0]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(onnx_providers, "_registered", set())


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The distributions that are installed."""
    names = {"onnxruntime-genai"}

    def distribution(name: str) -> object:
        if name not in names:
            raise PackageNotFoundError(name)
        return object()

    monkeypatch.setattr(onnx_providers, "distribution", distribution)
    return names


class Config:
    """What a model is loaded by: it keeps what it was told."""

    def __init__(self, *told: str) -> None:
        self.told = list(told)

    def clear_providers(self) -> None:
        self.told.clear()

    def append_provider(self, name: str) -> None:
        self.told.append(name)


def test_the_usual_package_brings_no_other_processor(packages: set[str]) -> None:
    assert installed() == ()


@pytest.mark.parametrize(
    ("package", "name", "kind"),
    [
        ("onnxruntime-genai-cuda", "cuda", "gpu"),
        ("onnxruntime-genai-winml", "dml", "gpu"),
        ("onnxruntime-genai-directml", "dml", "gpu"),
        ("onnxruntime-ep-webgpu", "WebGpuExecutionProvider", "gpu"),
        ("onnxruntime-qnn", "QNNExecutionProvider", "npu"),
    ],
)
def test_a_package_is_known_by_its_name(
    packages: set[str], package: str, name: str, kind: str
) -> None:
    packages.add(package)
    ((provider),) = installed()
    assert (provider.name, provider.kind) == (name, kind)


def test_a_provider_stands_alone_in_the_settings() -> None:
    config = Config("whatever the folder names")
    use_provider(SimpleNamespace(), config, "cuda")
    assert config.told == ["cuda"]


def test_a_plug_in_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = SimpleNamespace(
        get_ep_name=lambda: "WebGpuExecutionProvider", get_library_path=lambda: "/there/ep.so"
    )
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_webgpu", plugin)
    calls: list[tuple[str, str]] = []
    og = SimpleNamespace(register_execution_provider_library=lambda *of: calls.append(of))
    for _ in range(2):
        config = Config()
        use_provider(og, config, "WebGpuExecutionProvider")
        assert config.told == ["WebGpuExecutionProvider"]
    assert calls == [("WebGpuExecutionProvider", "/there/ep.so")]


async def test_builds_for_a_gpu_are_offered_where_a_package_can_use_one(
    packages: set[str], tmp_path: Path
) -> None:
    async def offers():
        return {offer.model: offer for offer in (await BACKEND.check()).offers}

    packages.add("onnxruntime-qnn")  # nothing on the Hub is made for it
    assert set(await offers()) == {build.model for build in BUILDS}
    packages.add("onnxruntime-genai-cuda")
    offer = (await offers())[GPU.model]
    assert offer.spec.key == "phi-3.5-mini" and offer.download_size == 2_300_000_000
    assert "for CUDA on an NVIDIA GPU: not tried by us." in offer.status.message
    lay_out(tmp_path / "models" / GPU.repository / GPU.folder)
    offer = (await offers())[GPU.model]
    assert offer.status.ready and "not tried by us" in offer.status.message
    assert not (await offers())[BUILDS[0].model].status.ready


@pytest.fixture
def here(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime_genai")
    lay_out(tmp_path / "models" / GPU.repository / GPU.folder)


async def ask(model: str) -> str:
    talk = (Message.of("user", "What is a mixture of experts?"),)
    steps = BACKEND.stream(model, talk, GenerationParams(temperature=0.0))
    return "".join([step.text async for step in steps if isinstance(step, Chunk)])


async def test_without_the_package_a_build_for_a_gpu_is_refused(
    packages: set[str], here: None
) -> None:
    with pytest.raises(MissingDependencyError, match="no package for one here"):
        await ask(GPU.model)


async def test_a_provider_that_does_not_load_is_said_in_a_sentence(
    packages: set[str], here: None, tmp_path: Path
) -> None:
    """The real library, which was built without CUDA: the page lives, and answers by the CPU."""
    packages.add("onnxruntime-genai-cuda")
    with pytest.raises(MissingDependencyError, match="by CUDA on an NVIDIA GPU on this") as caught:
        await ask(GPU.model)
    assert "onnxruntime-genai-cuda" in caught.value.hint and "\n" not in str(caught.value)
    lay_out(tmp_path / "models" / BUILDS[0].repository / BUILDS[0].folder)
    assert "mixture of experts" in await ask(BUILDS[0].model)


def test_a_plug_in_that_is_not_there_is_said_in_a_sentence(here: None) -> None:
    plan = onnx_text.plan("Pocket", str(POCKET / "onnx"), provider="WebGpuExecutionProvider")
    with pytest.raises(MissingDependencyError, match="WebGPU") as caught:
        plan.load(lambda done: None)
    assert "onnxruntime-ep-webgpu" in caught.value.hint


def test_a_gpu_without_memory_is_no_broken_provider(
    here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*of: object) -> None:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(onnx_text, "use_provider", lambda *of: None)
    config = SimpleNamespace(overlay=lambda text: None)
    fake = SimpleNamespace(Config=lambda folder: config, Model=full)
    monkeypatch.setattr(onnx_text, "library", lambda: fake)
    with pytest.raises(OutOfMemoryError):
        onnx_text.plan("P", str(POCKET / "onnx"), provider="cuda").load(lambda done: None)
