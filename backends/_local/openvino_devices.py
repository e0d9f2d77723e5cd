"""Devices that OpenVINO finds: `python -m backends._local.openvino_devices` prints them as JSON.

The page's process imports no engine, so it asks a process of its own, once.
"""

import json
import os
import subprocess
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

_TIMEOUT = 20.0
"""Seconds after which nothing is known beside the processor."""


@cache
def devices() -> dict[str, str]:
    """Names that OpenVINO has for the devices of this computer, and what their makers call them.

    `CPU`, and `GPU` or `GPU.0`, `GPU.1` and `NPU` where there is one with its driver. Waits for the
    answer the first time. Empty if the package is not there, or finds nothing.
    """
    if find_spec("openvino") is None:
        return {}
    root = str(Path(__file__).parents[2])
    paths = filter(None, (root, os.environ.get("PYTHONPATH")))
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=True,
        )
        return cast("dict[str, str]", json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


def gpu() -> tuple[str, str] | None:
    """OpenVINO's name of the first GPU, and its maker's, if there is one."""
    return next(((one, name) for one, name in devices().items() if one.startswith("GPU")), None)


def _found() -> dict[str, str]:
    core: Any = import_module("openvino").Core()
    return {one: core.get_property(one, "FULL_DEVICE_NAME") for one in core.available_devices}


if __name__ == "__main__":
    print(json.dumps(_found()))
