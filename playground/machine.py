"""The machine that this program runs on, and how busy it is."""

import asyncio
import os
import platform
import sys
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

_Name = Annotated[str, StringConstraints(max_length=300)]
_LOOK = 0.5
"""Seconds for which other programs are watched."""


class Machine(BaseModel):
    """Where the program ran."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    platform: _Name = ""
    processor: _Name = ""
    cores: int | None = None
    memory: int | None = None
    """In bytes."""


def machine() -> Machine:
    """The machine that this program runs on."""
    import psutil

    return Machine(
        platform=platform.platform(),
        processor=_processor(),
        cores=os.cpu_count(),
        memory=psutil.virtual_memory().total,
    )


def _processor() -> str:
    """The processor's name as its maker sells it, where the system tells."""
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        if name := next(names, ""):
            return name
    return platform.processor() or platform.machine()


async def busy() -> float:
    """The share of all processors that is taken at this moment, 0 to 1; it takes half a second."""
    import psutil

    psutil.cpu_percent()
    await asyncio.sleep(_LOOK)
    return psutil.cpu_percent() / 100
