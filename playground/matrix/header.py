"""The first line of a run's file: what is asked of whom, with what, and where."""

import platform
import subprocess
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from ..machine import machine
from .plan import Asked, Plan
from .run_file import Header, RunModel, Settings, tasks_hash

_ROOT = Path(__file__).parents[2]


def header(plan: Plan) -> Header:
    """The first line of a plan's run file."""
    now, digest = datetime.now(UTC), tasks_hash(plan.items)
    return Header(
        id=f"{now:%Y%m%d-%H%M%S}-{digest[:6]}",
        date=now.isoformat(timespec="seconds"),
        models=tuple(
            RunModel(
                side=asked.side,
                backend=asked.backend.id,
                model=asked.model,
                label=asked.label,
                revision=asked.revision,
            )
            for asked in plan.models
        ),
        settings=Settings(temperature=0.0, max_tokens=plan.max_tokens, seed=plan.seed),
        kinds=plan.kinds,
        languages=plan.languages,
        items=plan.count,
        seed=plan.seed,
        source=plan.source,
        tasks_hash=digest,
        parallel={asked.side: plan.at_once(asked) for asked in plan.models},
        versions=_versions(plan.models),
        machine=machine(),
        texts=dict(plan.texts),
    )


def _versions(models: Sequence[Asked]) -> dict[str, str]:
    """Versions of this program, of Python and of what the models run in."""
    packages = {name for asked in models for name in asked.backend.requires}
    found = {"playground": _own_version(), "python": platform.python_version()}
    for name in sorted(packages):
        distribution = name.replace("_", "-")
        try:
            found[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return found


def _own_version() -> str:
    """The version in `pyproject.toml`, and the commit if this is a clone: `0.2.0 (1a2b3c4)`."""
    try:
        project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))
        version = str(project["project"]["version"])
    except (OSError, ValueError, KeyError):
        version = "unknown"
    if not (_ROOT / ".git").exists():
        return version
    try:
        describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.run(
            describe, cwd=_ROOT, capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version} ({commit})"
