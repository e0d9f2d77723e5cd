"""The MoE tab's heavy drawing: in a thread, and only of what has changed."""

import threading
from typing import Any

import gradio as gr
import pytest

from backends import ExpertRouting
from playground.conversation import AnswerRecord, Conversation, Turn
from playground.keyring import Keyring
from playground.routing import Routing
from playground.services import Services
from ui.compare import chat
from ui.tabs.moe import session as session_module
from ui.tabs.moe import view as view_module
from ui.tabs.moe.session import MoeSession
from ui.tabs.moe.view import MoeView


def answer(text: str) -> AnswerRecord:
    routing = Routing()
    routing.add(ExpertRouting(1, "Hi", False, ((0,),), ((1.0,),), 2))
    return AnswerRecord(
        model="Pocket-MoE", backend="Pocket", text=text, state="done", routing=routing
    )


async def test_nothing_heavy_runs_on_the_event_loop_nor_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heavy: list[tuple[str, bool]] = []

    def noted(module: Any, name: str) -> None:
        step = getattr(module, name)

        def run(*given: Any) -> Any:
            heavy.append((name, threading.current_thread() is threading.main_thread()))
            return step(*given)

        monkeypatch.setattr(module, name, run)

    noted(session_module, "full_figure")
    noted(view_module, "to_file")
    noted(chat, "read_steps")
    with gr.Blocks():
        view = MoeView("moe", Services(), gr.State(Keyring()))
    turns = tuple(Turn(prompt=f"{n}", answers=(answer(f"l{n}"), answer(f"r{n}"))) for n in (1, 2))
    session = MoeSession(conversation=Conversation(turns=turns))
    await session.prerender(session.conversation)
    for _ in range(2):
        view.render(session)
    assert [name for name, _ in heavy].count("full_figure") == 2
    await view.undo(session, "")
    assert [name for name, _ in heavy].count("full_figure") == 4  # of the turn before
    assert '"Pocket-MoE"' in await view_module._export_routing(0)(session)
    assert {name for name, _ in heavy} == {"full_figure", "to_file", "read_steps"}
    assert not any(on_loop for _, on_loop in heavy)
