"""Every event of the page: async, so that none holds a thread or cancels tasks from another one."""

import inspect

import gradio as gr

from playground.services import Services
from ui.api import ENDPOINTS
from ui.page import build


def test_every_handler_is_async() -> None:
    handlers = [event.fn for event in build(Services()).fns.values() if event.fn is not None]
    assert len(handlers) > 20
    for handler in handlers:
        inner = inspect.unwrap(handler)
        assert inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner), handler


def test_no_event_is_in_the_public_api_or_copies_its_outputs_for_progress() -> None:
    for event in build(Services()).fns.values():
        if event.api_name in ENDPOINTS:  # no event of the page, but an address for programs
            continue
        assert event.api_visibility == "private"
        assert event.fn is None or event.show_progress == "hidden"


def test_what_several_components_trigger_waits_for_no_last_run() -> None:
    """Two of them would repeat each other's events without an end, as soon as answers take long."""
    for event in build(Services()).fns.values():
        if event.fn and len(event.targets) > 1:
            assert event.trigger_mode != "always_last", event.name


def test_no_event_reads_many_components_but_as_one_value() -> None:
    """Or else each message of an answer costs the visitor's browser more: see `ui/gathered.py`."""
    for event in build(Services()).fns.values():
        if event.fn and event.api_name not in ENDPOINTS:
            components = [one for one in event.inputs if not isinstance(one, gr.State)]
            assert len(components) <= 3, f"{event.name} reads {components}"


def test_what_reads_a_form_after_a_change_of_it_is_asked_for_in_order() -> None:
    """Two requests at a time may arrive in another order: then the one before would stay."""
    events = build(Services()).fns
    followed = [
        (events[event.trigger_after], event)
        for event in events.values()
        if event.fn and event.trigger_after is not None
    ]
    changed = [
        event
        for first, event in followed
        if first.fn is None and {"change", "then"} & {name for _, name in first.targets}
    ]
    assert len(changed) > 10
    assert {event.trigger_mode for event in changed} == {"always_last"}
