"""How this page declares its events, and what they may change."""

from typing import Any

Updates = dict[Any, Any]
"""What an event changes: components and their new values. Components left out stay as they are."""

PRIVATE: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    # Not even hidden: else Gradio's page copies every output of the event, conversations too,
    # at each message of a stream.
    "show_progress_on": [],
}
"""Arguments of every event: no progress of Gradio's own, and no place in its API pages."""
