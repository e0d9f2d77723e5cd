"""Other processors that ONNX Runtime GenAI can compute on, by the packages that are installed.

None of this was run on such a processor: names and calls are those of the library's own examples
and benchmarks (0.18.0), and their tests are made of fakes.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from .._core.errors import MissingDependencyError
from .._core.sentence import Sentence


@dataclass(frozen=True, slots=True)
class Provider:
    """A kind of processor, and the package that brings it."""

    package: str
    """The distribution: another one of the library itself, or a plug-in beside it."""
    label: str
    """What people call it."""
    name: str
    """The library's name of its execution provider."""
    kind: str
    """The folder of the Hub with builds for it: `gpu`; `npu` has none of ours."""
    plugin: str | None = None
    """The module that says where its library lies, if it is a plug-in."""


PROVIDERS = (
    Provider("onnxruntime-genai-cuda", "CUDA on an NVIDIA GPU", "cuda", "gpu"),
    Provider("onnxruntime-genai-winml", "DirectML on a GPU", "dml", "gpu"),
    Provider("onnxruntime-genai-directml", "DirectML on a GPU", "dml", "gpu"),
    Provider(
        "onnxruntime-ep-webgpu",
        "WebGPU on a GPU",
        "WebGpuExecutionProvider",
        "gpu",
        "onnxruntime_ep_webgpu",
    ),
    # Runs models only that were compiled for it, and the Hub has none of ours.
    Provider("onnxruntime-qnn", "Qualcomm's NPU", "QNNExecutionProvider", "npu", "onnxruntime_qnn"),
)
"""The fastest first."""

_registered: set[str] = set()
"""Plug-ins of this process: the library takes each of them once."""


def installed() -> tuple[Provider, ...]:
    """Those whose packages are installed. Imports none of them."""
    return tuple(one for one in PROVIDERS if _is_installed(one.package))


def use_provider(og: Any, config: Any, name: str) -> None:
    """Have a model computed by a provider, and by no other that its folder names.

    `og` is the library and `config` its settings of a folder. Raises whatever a package raises that
    is not there, or does not fit.
    """
    provider = next(one for one in PROVIDERS if one.name == name)
    if provider.plugin and name not in _registered:
        plugin: Any = import_module(provider.plugin)
        og.register_execution_provider_library(plugin.get_ep_name(), plugin.get_library_path())
        _registered.add(name)
    config.clear_providers()
    config.append_provider(name)


def provider_failed(label: str, name: str, error: Exception) -> MissingDependencyError:
    """The error of a provider that does not load: the computer's own, not the model's."""
    provider = next(one for one in (*installed(), *PROVIDERS) if one.name == name)
    said = f"{error}".strip().partition("\n")[0].rstrip(".")
    return MissingDependencyError(
        Sentence(
            "ONNX Runtime cannot run {label} by {provider} on this computer: {said}.",
            label=label,
            provider=Sentence(provider.label),
            said=said,
        ),
        Sentence(
            "Look at its driver and at {package}, or choose the build for a CPU.",
            package=provider.package,
        ),
        package=provider.package,
    )


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True
