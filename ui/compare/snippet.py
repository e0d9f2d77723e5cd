"""Show the code: the program that asks what a side was asked last, or would be asked now."""

import asyncio
import re

from backends import BackendError, BadRequestError
from playground.answer import Request
from playground.conversation import Turn
from playground.limits import Limits

from ..markdown import render
from ..texts import told
from .form import Form
from .session import Session

NO_PROGRAM = "There is no program to show for this model."
HELLO = "Hello!"
"""What a program asks while no prompt is typed."""


async def snippet_html(
    session: Session, side: int, form: Form | BackendError, limits: Limits
) -> str:
    """The program as HTML, or a sentence that says why there is none; `form` may be a refusal."""
    try:
        request = session.last_request(side) or _asking(session, side, form, limits)
    except BackendError as error:
        return f"<p>{told(str(error))}</p>"
    snippet = await asyncio.to_thread(
        request.backend.snippet,
        request.model,
        request.messages,
        request.params,
        request.connection,
    )
    return render(fenced(snippet)) if snippet else f"<p>{told(NO_PROGRAM)}</p>"


def _asking(session: Session, side: int, form: Form | BackendError, limits: Limits) -> Request:
    """What the side would be asked, as the form stands. Raises `BackendError`."""
    if isinstance(form, BackendError):
        raise form
    if not form.sides[side].model:
        raise BadRequestError("This side has no model yet.", "Choose one above.")
    form.checked(limits, {side}, session.keyring)
    limits.check_prompt(form.prompt or HELLO)
    conversation = session.conversation
    if not conversation.turns:
        conversation = conversation.model_copy(update={"system": form.system})
        turn = Turn(prompt=form.prompt.strip() or HELLO, pictures=session.pictures)
        conversation = conversation.with_turn(turn)
    return form.request(side, conversation, session.keyring, limits)


def fenced(code: str) -> str:
    """A program as a block of Markdown that nothing in it can end."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", code)), 3)
    return f"{fence}python\n{code}{fence}"
