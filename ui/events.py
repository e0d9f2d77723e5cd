"""Types and arguments that all events of the page share."""

from typing import Any

Updates = dict[Any, Any]
"""An event's updates: new values by component. Components left out stay as they are."""

PRIVATE: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    # Not even hidden: else Gradio's page copies every output of the event, conversations too,
    # at each message of a stream.
    "show_progress_on": [],
}
"""Arguments of every event: without Gradio's progress display, and not in its API pages."""
