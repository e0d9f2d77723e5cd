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


ALWAYS: dict[str, Any] = {**PRIVATE, "trigger_mode": "multiple"}
"""Arguments of an event of which none may be left out, nor repeated: a step that follows another
event, one that several components trigger.

Gradio's page leaves out ("once") what is triggered while the same event of an earlier press is
under way, even of a press that was refused: nobody would draw, or finish, what the later one began.
Where it waits for the last run ("always_last", usual for `change`), it then repeats all that the
event's component had triggered: two components that trigger two such events together keep each
other going, and on a slow network never end.
"""

LATEST: dict[str, Any] = {**PRIVATE, "trigger_mode": "always_last"}
"""Arguments of a step that only shows how things are now, after `Gathered` has read them.

Two requests at a time may arrive in another order than they were sent in, and so may their answers;
what was true before would stay on the screen. So the page asks once more when it has the answer.
A step repeats itself alone.
"""


def told(said: Any, *names: str) -> dict[str, Any]:
    """What a component of ours tells with an event, by name; `None` where it tells nothing.

    It comes from the page, and is not trusted.
    """
    try:
        if isinstance(said, dict):
            return {name: said.get(name) for name in names}
        return {name: getattr(said, name, None) for name in names}
    except TypeError:  # it is no object
        return dict.fromkeys(names)
