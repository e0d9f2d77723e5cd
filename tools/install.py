"""Install what `make run` needs, without PyTorch, or everything.

    python tools/install.py light STAMP     requirements-light.txt
    python tools/install.py full STAMP      the rest of requirements.txt: PyTorch, and what needs it

The file STAMP is written only when everything is in place.

On Linux, plain pip brings PyTorch with all of CUDA: 2.7 GB to download, 4.9 GB on disk, for a
card that most laptops do not have. Measured ways around it: benchmarks/results/install.md.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIGHT = ROOT / "requirements-light.txt"
EVERYTHING = ROOT / "requirements.txt"
CUDA_PACKAGES = ("nvidia", "cuda", "triton")

# What the CUDA build of torch 2.13.0 asks the loader for, and never calls where there is no card.
CUDA_LIBRARIES = (
    *("libcublas.so.13", "libcublasLt.so.13", "libcudnn.so.9", "libcufft.so.12"),
    *("libcufile.so.0", "libcupti.so.13", "libcurand.so.10", "libcusparse.so.12"),
    *("libcusparseLt.so.0", "libnccl.so.2", "libnvrtc.so.13", "libnvshmem_host.so.3"),
)
# The one CUDA library that is called: it answers "no card here". 2 MB.
CUDA_RUNTIME = "nvidia-cuda-runtime==13.0.96"


class BrokenOff(Exception):
    """pip failed: no network, no room on the disk."""


def main(part: str, stamp: str) -> int:
    if importlib.util.find_spec("pip") is None:  # made by uv, or broken off
        subprocess.run([sys.executable, "-m", "ensurepip"], capture_output=True)
    try:
        in_place = install_light() if part == "light" else install_rest()
    except BrokenOff:
        print("The installation broke off. Run the same command again: it goes on from here.")
        return 1
    if in_place:
        Path(stamp).touch()
    return 0


def install_light() -> bool:
    """The page, and ONNX Runtime for its models."""
    print("Installing Phi Playground. This takes a minute, once.", flush=True)
    if not pip("--quiet", "-r", str(LIGHT)):
        raise BrokenOff
    return True


def install_rest() -> bool:
    """PyTorch, and what needs it, into a place that has the light part. False without PyTorch."""
    torch, *others = heavy_pins()
    if not built_for_this_machine(torch):
        print("PyTorch has no build for this machine: Transformers does not work here.")
        return True
    print("Installing PyTorch and Transformers. This takes a few minutes, once.", flush=True)
    if not pip("--quiet", *others, "-c", str(LIGHT)):
        raise BrokenOff
    torch = torch.partition(";")[0].strip()
    if not any(torch_runs(torch) for _ in attempts(torch)):
        uninstall("torch")
        print(
            "PyTorch could not be installed: the page works, but without Transformers.\n"
            f"`make full` tries again. By hand: {sys.executable} -m pip install {torch}"
        )
        return False
    print("Transformers works now: Phi-3-vision, Phi-3.5-MoE and every Phi in bf16.")
    return True


def heavy_pins() -> list[str]:
    """What requirements.txt has beyond the light file, PyTorch first."""
    lines = EVERYTHING.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "-r "))]
    return sorted(pins, key=lambda pin: not pin.startswith("torch=="))


def built_for_this_machine(pin: str) -> bool:
    """True if the marker behind a pin says so, or there is none."""
    from packaging.requirements import Requirement  # it comes with the light file

    marker = Requirement(pin).marker
    return marker is None or marker.evaluate()


def attempts(torch: str) -> Iterator[None]:
    """The ways to get PyTorch, cheapest first; after each the caller looks whether it runs."""
    yield  # it may be here already
    if platform.system() != "Linux" or has_nvidia_driver():
        pip(torch)
        yield
        return
    print("No NVIDIA driver here: PyTorch comes without CUDA.", flush=True)
    # 1. A CPU build, where pip itself is set up to find one.
    pip("--quiet", f"{torch}+cpu", quiet=True)
    yield
    # 2. The CPU build that PyTorch publishes; uv knows where.
    install_with_uv(torch)
    yield
    # 3. Only the default index is reachable: the CUDA build without CUDA.
    pip("--no-deps", torch, CUDA_RUNTIME)
    install_other_dependencies()
    stand_in_for_cuda()
    yield


def install_with_uv(torch: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if not pip("--quiet", "--target", folder, "uv", quiet=True):
            return
        command = [str(Path(folder, "bin", "uv")), "pip", "install", torch, "--no-deps"]
        command += ["--python", sys.executable, "--torch-backend", "cpu", "--no-cache"]
        environment = os.environ | {"UV_HTTP_RETRIES": "1"}
        # A rehearsal first: where the CPU builds are out of reach, nobody needs to see the errors.
        rehearsal = subprocess.run([*command, "--dry-run"], env=environment, capture_output=True)
        if rehearsal.returncode == 0:
            subprocess.run(command, env=environment)
            install_other_dependencies()


def install_other_dependencies() -> None:
    """What PyTorch needs besides CUDA."""
    try:
        needed = importlib.metadata.requires("torch") or []
    except importlib.metadata.PackageNotFoundError:
        return
    pip("--quiet", *(n for n in needed if not n.startswith(CUDA_PACKAGES) and "extra ==" not in n))


def stand_in_for_cuda() -> None:
    """Let the loader find a library under each CUDA name: PyTorch's own smallest one."""
    packages = Path(sysconfig.get_path("platlib"))
    libraries = packages / "torch" / "lib"
    if not libraries.is_dir():
        return
    for name in CUDA_LIBRARIES:
        if not (libraries / name).exists():
            (libraries / name).symlink_to("libc10.so")
    # Functions are looked up when they are called, not all at the start: those of CUDA never are.
    lazy = "import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n"
    (packages / "torch_without_cuda.pth").write_text(lazy, encoding="utf-8")


def torch_runs(torch: str) -> bool:
    """True when the pinned PyTorch is here and computes, tried in a process of its own."""
    version = torch.removeprefix("torch==")
    code = (
        f"import torch; assert torch.__version__.split('+')[0] == '{version}'; "
        "one = torch.ones(8, 8, device='cuda' if torch.cuda.is_available() else 'cpu'); "
        "assert (one @ one).sum() == 512"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def pip(*arguments: str, quiet: bool = False) -> bool:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    # Python compiles what it imports by itself: compiling everything takes three times as long.
    command += ["--no-compile", "--no-warn-conflicts", *arguments]
    return subprocess.run(command, capture_output=quiet).returncode == 0


def uninstall(package: str) -> None:
    command = [sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", package]
    subprocess.run(command, capture_output=True)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the same command again: it goes on from here.")
