"""The exact versions in requirements files, for this machine or one of another kind."""

from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
MACHINES = {
    "Linux": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "Linux on ARM": {"sys_platform": "linux", "platform_machine": "aarch64"},
    "Mac": {"sys_platform": "darwin", "platform_machine": "arm64"},
    "Intel Mac": {"sys_platform": "darwin", "platform_machine": "x86_64"},
    "Windows": {"sys_platform": "win32", "platform_machine": "AMD64"},
    "Windows on ARM": {"sys_platform": "win32", "platform_machine": "ARM64"},
}
"""What markers ask of the machines that the page is for."""


def written(name: str) -> list[str]:
    """A file's lines, without empty ones and comments."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def requirements(name: str, machine: str | None = None) -> list[Requirement]:
    """Those of a file, and of the files that it includes, whose markers hold on a machine."""
    found: list[Requirement] = []
    for line in written(name):
        if line.startswith("-r "):
            found += requirements(str(Path(name).parent / line.removeprefix("-r ")), machine)
            continue
        one = Requirement(line)
        if one.marker is None or one.marker.evaluate(MACHINES[machine] if machine else None):
            found.append(one)
    return found


def pins(*names: str, machine: str | None = None) -> dict[str, str]:
    """The exact versions in some files, by distribution as the index compares its name."""
    every = [one for name in names for one in requirements(name, machine)]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in every}
