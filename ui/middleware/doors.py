"""What may be asked of the page's server besides the page itself."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Doors:
    """The doors of a server that are not its page's, all closed by themselves."""

    endpoints: Collection[str] = ()
    """Public endpoints that programs may call by their names."""
    mcp: bool = False
    """The same as tools for clients of the Model Context Protocol."""
    sign_in: bool = False
    """The routes of Gradio's sign-in."""


ALL_CLOSED = Doors()
