"""The MoE tab's heavy drawing: in a thread, and only of what has changed."""

import threading
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from backends import Chunk, ExpertRouting, Message
from playground.answer import Request
from playground.compare import Run
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.keyring import Keyring
from playground.routing import Routing
from playground.services import Services
from tests.fakes import Scripted, last
from ui.compare.default_pair import default_moe_pair
from ui.compare.restore import ViewRestore
from ui.tabs.moe import agent_steps
from ui.tabs.moe import session as session_module
from ui.tabs.moe import view as view_module
from ui.tabs.moe.session import MoeSession
from ui.tabs.moe.view import MoeView

TOKEN = ExpertRouting(1, "Hi", False, ((0,),), ((1.0,),), 2)


def answer(text: str) -> AnswerRecord:
    routing = Routing()
    routing.add(TOKEN)
    return AnswerRecord(
        model="Pocket-MoE", backend="Pocket", text=text, state="done", routing=routing
    )


Calls = list[tuple[str, bool]]


@pytest.fixture
def heavy(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The calls of what takes long, each with whether it ran on the event loop's thread."""
    calls: Calls = []

    def record(module: Any, name: str) -> None:
        function = getattr(module, name)

        def run(*given: Any) -> Any:
            calls.append((name, threading.current_thread() is threading.main_thread()))
            return function(*given)

        monkeypatch.setattr(module, name, run)

    record(session_module, "full_figure")
    record(view_module, "to_file")
    record(agent_steps, "read_steps")
    agent_steps._agent_steps.cache_clear()
    return calls


@pytest.fixture
def view() -> MoeView:
    with gr.Blocks():
        return MoeView("moe", Services(), gr.State(Keyring()))


async def test_nothing_heavy_runs_on_the_event_loop_nor_twice(heavy: Calls, view: MoeView) -> None:
    turns = tuple(Turn(prompt=f"{n}", answers=(answer(f"l{n}"), answer(f"r{n}"))) for n in (1, 2))
    session = MoeSession(conversation=Conversation(turns=turns))
    await session.prerender(session.conversation)
    for _ in range(2):
        view.render(session)
    assert [name for name, _ in heavy].count("full_figure") == 2
    await view.editing.undo(session, "")
    assert [name for name, _ in heavy].count("full_figure") == 4  # of the turn before
    assert '"Pocket-MoE"' in await view_module._export_routing(0)(session)
    assert {name for name, _ in heavy} == {"full_figure", "to_file", "read_steps"}
    assert not any(on_loop for _, on_loop in heavy)


async def test_an_answer_that_ends_is_drawn_off_the_event_loop(heavy: Calls, view: MoeView) -> None:
    backend = Scripted(Chunk("Hi", 1, routing=(TOKEN,)), last(1, 1))
    run = Run([Request(backend, "fake", (Message.of("user", "Hello"),)), None])
    session = MoeSession(conversation=Conversation(turns=(Turn(prompt="Hello"),)), run=run)
    async for _ in session.draw():
        pass
    assert await session.finish() == []
    view.render(session)
    assert {name for name, _ in heavy} == {"full_figure", "read_steps"}
    assert not any(on_loop for _, on_loop in heavy)


async def test_a_stored_conversation_is_read_off_the_event_loop(
    heavy: Calls, view: MoeView
) -> None:
    stored = Conversation(turns=(Turn(prompt="Hello", answers=(answer("Hi"), answer("Ho"))),))
    page: Any = SimpleNamespace(query_params={}, headers={})
    with gr.Blocks():
        restore = ViewRestore(view, default_moe_pair)
    await restore.open(MoeSession(), stored.model_dump_json(), Keyring(), "", page)
    assert [name for name, _ in heavy] == ["read_steps"] * 2
    assert not any(on_loop for _, on_loop in heavy)
