"""Many components of the page as one input of an event."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from playground.keyring import Keyring

from .events import LATEST

Values = Mapping[Any, Any]
"""What an event was given: values by component."""
PRESSED = "pressed"
"""The key in `Values` of what a script of ours said last that was pressed (`phi.pressed`)."""
_AT = "at"
"""The key in `Values` of when they were read, in milliseconds of the page's life."""
_GATHER = "(...values) => [{ values, pressed: window.phi?.pressed ?? null, at: performance.now() }]"


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
        A step of the kind `LATEST` whose page has told a later state already changes nothing.
        """
        listen = trigger if callable(trigger) else partial(gr.on, trigger)
        gathered = listen(None, self.components, self._value, js=_GATHER, api_visibility="private")
        if arguments.get("trigger_mode") == LATEST["trigger_mode"]:
            handler = self._in_order(handler)
        return gathered.then(
            self._reading(handler), {*self.states, self._value}, outputs, **arguments
        )

    def _in_order(self, handler: Callable[[Values], Awaitable[Any]]) -> Any:
        """Leave out what was read before what is known: the page may send two at the same moment,
        before it knows that one is under way.
        """
        newest: WeakKeyDictionary[Keyring, float] = WeakKeyDictionary()  # by page

        async def latest(values: Values) -> Any:
            page = next((one for one in values.values() if isinstance(one, Keyring)), None)
            if page is None:
                return await handler(values)
            at = values[_AT] if isinstance(values[_AT], int | float) else 0.0
            if at < newest.get(page, 0.0):
                return gr.skip()
            newest[page] = at
            answer = await handler(values)
            return answer if newest[page] == at else gr.skip()

        latest.__name__ = handler.__name__
        return latest

    def _reading(self, handler: Callable[[Values], Awaitable[Any]]) -> Any:
        async def read(given: Values) -> Any:
            sent = given[self._value]  # it comes from the page, and is not trusted
            sent = sent if isinstance(sent, dict) else {}
            values = sent.get("values")
            known = zip(self.components, values if isinstance(values, list) else [], strict=False)
            nothing = dict.fromkeys(self.components)
            states = {state: given[state] for state in self.states}
            told = {PRESSED: sent.get(PRESSED), _AT: sent.get(_AT)}
            return await handler({**nothing, **dict(known), **states, **told})

        read.__name__ = handler.__name__
        return read
