"""Many components of the page as one input of an event."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr

Values = Mapping[Any, Any]
"""What an event was given: values by component."""
PRESSED = "pressed"
"""The key in `Values` of what a script of ours said last that was pressed (`phi.pressed`)."""
_GATHER = "(...values) => [{ values, pressed: window.phi?.pressed ?? null }]"


class Gathered:
    """Components whose values events read together.

    Gradio's page keeps a loading status of each component that was an input of an event, and after
    each message of any stream it brings all of them up to date, searching its tree of components
    for each (`update_loading_stati_state` in its `dependency.ts`). A press of Compare reads some
    twenty, a health check the pickers of all tabs. So an event in the page, which has no such
    status, collects their values into one.
    """

    def __init__(self, components: Iterable[Any], *states: gr.State) -> None:
        """Gather these; the states are on the server and are inputs as they are."""
        self.components, self.states = list(components), states
        self._value = gr.JSON(visible=False)

    def on(
        self,
        trigger: Callable[..., Any] | Sequence[Callable[..., Any]],
        handler: Callable[[Values], Awaitable[Any]],
        outputs: Any,
        **arguments: Any,
    ) -> Any:
        """Have a handler follow a trigger, or any of several; return its event.

        It is given the values by component, and by state, as the page sent them: not preprocessed.
        It is a step that follows: without a `trigger_mode` it is left out while one is under way.
        """
        listen = trigger if callable(trigger) else partial(gr.on, trigger)
        gathered = listen(None, self.components, self._value, js=_GATHER, api_visibility="private")
        return gathered.then(
            self._reading(handler), {*self.states, self._value}, outputs, **arguments
        )

    def _reading(self, handler: Callable[[Values], Awaitable[Any]]) -> Any:
        async def read(given: Values) -> Any:
            sent = given[self._value]  # it comes from the page, and is not trusted
            sent = sent if isinstance(sent, dict) else {}
            values = sent.get("values")
            known = zip(self.components, values if isinstance(values, list) else [], strict=False)
            nothing = dict.fromkeys(self.components)
            states = {state: given[state] for state in self.states}
            return await handler({**nothing, **dict(known), **states, PRESSED: sent.get(PRESSED)})

        read.__name__ = handler.__name__
        return read
