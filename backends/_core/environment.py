"""Switches that are set before the start, in the environment."""

import os

_YES = ("1", "yes", "on", "true")


def env_flag(variable: str, default: bool = False) -> bool:
    """Whether a switch is on: the default where it is not set; anything but a yes is a no."""
    value = os.environ.get(variable, "").strip().lower()
    return value in _YES if value else default
