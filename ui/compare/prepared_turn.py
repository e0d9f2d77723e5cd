"""A form is checked and becomes a turn, with a request of each side that is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playground.answer import Request
from playground.conversation import Conversation, Turn
from playground.services import Services

from .form import Form
from .status import model_label

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class PreparedTurn:
    """A turn that may be asked: its place, its prompt, and a request of each side that is asked."""

    index: int
    conversation: Conversation
    """With the turn as its last one, without the answers that are asked for."""
    requests: Sequence[Request | None]
    labels: Sequence[tuple[str, str]]
    """Of each side: model and backend."""
    in_turn: bool = False


async def prepare_turn(
    session: Session,
    form: Form,
    services: Services,
    index: int,
    sides: Collection[int],
    begun: Mapping[int, str],
) -> PreparedTurn:
    """Check a form and make a request of each side that is asked. Raises `BackendError`.

    `begun` has the beginnings of answers that are to be gone on with, by side.
    """
    limits, monitor, keyring = services.limits, services.health, session.keyring
    services.in_flight.check_open()
    form.checked(limits, sides, keyring)
    limits.check_prompt(form.prompt)
    for side in sides:
        chosen = form.sides[side]
        if backend := keyring.backend(chosen.backend):
            await monitor.check_offered(backend, chosen.model, keyring)
    turn = _turn(session, form, index)
    earlier = session.conversation.before(index)
    limits.check_attached_pictures((*earlier.pictures(), *turn.pictures))
    for side in sides:
        turn = turn.asked_again(side)
    settings = {"system": form.system, "params": form.params}
    conversation = earlier.model_copy(update=settings).with_turn(turn).without_old_routing()
    requests = [
        form.request(side, conversation, keyring, limits, begun.get(side, ""))
        if side in sides
        else None
        for side in range(len(session.sides))
    ]
    for request in filter(None, requests):
        limits.check_history(request.messages)
    labels = [model_label(monitor, side.backend, side.model, keyring) for side in form.sides]
    return PreparedTurn(index, conversation, requests, labels, form.in_turn)


def _turn(session: Session, form: Form, index: int) -> Turn:
    """The turn for a form: the existing one if its prompt is the same, else a new one."""
    turns = session.conversation.turns
    if index >= len(turns):
        return Turn(prompt=form.prompt, pictures=session.pictures)
    old = turns[index]
    same = old.prompt == form.prompt
    return old if same else Turn(prompt=form.prompt, pictures=old.pictures)
