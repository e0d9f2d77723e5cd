"""The Languages tab's components and events: a run is opened, or started, watched and stopped."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext, suppress
from pathlib import Path
from typing import Any

import gradio as gr

from backends import BackendError, Sentence
from playground.keyring import Keyring
from playground.languages.table import LANGUAGES
from playground.matrix import report
from playground.matrix.going_on import answers_left
from playground.matrix.live import LiveRun, read_named
from playground.matrix.plan import Cost
from playground.matrix.recorded import where_recorded
from playground.matrix.run_file import RunFile, RunFileError, jsonl
from playground.matrix.runner import Step, header
from playground.matrix.shelf import may_go_on, path_of, place_for, read_listed
from playground.matrix.texts import LanguageFileError
from playground.services import Services
from playground.threads import in_media_thread

from ...compare.composer import notice_html
from ...events import ALWAYS, LATEST, PRIVATE, Updates, told
from ...gathered import Gathered, Values
from ...texts import t
from .asked import AskForm, plan_of, plan_to_go_on
from .choices import (
    NAME,
    build_choices,
    first_languages,
    kind_choices,
    prompt_choices,
    read_own,
)
from .component import build_matrix
from .files import NONE, first, listed
from .offers import Offers, cost_html, named_models
from .progress import LOADING, ended_words, status_words
from .session import LanguagesSession
from .shown import detail, live_fields, pictures, run_fields
from .tax import tax_fields

SUMMARY_INTERVAL = 2.0
"""Seconds between two summaries of a run that goes on."""
_SAVES = {
    "csv": lambda run: "\ufeff" + report.csv_text(run),  # with a mark that Excel takes UTF-8 by
    "jsonl": jsonl,
    "md": report.markdown,
    "html": report.html,
}
_TYPES = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "md": "text/markdown",
    "html": "text/html",
}


class LanguagesView:
    """A run on a tab: the inputs of the next one, and the matrix of what is there."""

    def __init__(self, services: Services, keyring: gr.State) -> None:
        self.services, self.limits, self.keyring = services, services.limits, keyring
        self.offers = Offers(services)
        self.session = gr.State(LanguagesSession(), delete_callback=LanguagesSession.stop)
        with gr.Column(elem_id=f"{NAME}-view", elem_classes="view"):
            with gr.Row(elem_classes="run-bar"):
                self.files = gr.Dropdown(
                    [], label=t("lang_files"), show_label=False, container=False, min_width=230,
                    elem_id=f"{NAME}-files", filterable=False, scale=0,
                )  # fmt: skip
                self.upload = gr.UploadButton(
                    # Of any type: what a file is, is told from its content, with better words.
                    t("lang_open"), size="sm", elem_id=f"{NAME}-open-file", scale=0,
                )  # type: ignore[arg-type]  # fmt: skip
            self.choices = build_choices(self.limits)
            self.notice = gr.HTML(elem_id=f"{NAME}-notice")
            self.matrix = build_matrix()
            self.saved = gr.Textbox(visible=False)
        self._connect()

    # ── Events ─────────────────────────────────────────────────────────────────────────────────

    def open_on(self, tab: gr.Tab) -> Any:
        """Open when the tab is selected; returns the event."""
        return tab.select(
            self.open, [self.session, self.keyring],
            [
                self.matrix, self.choices.models, self.files, self.choices.cost, self.session,
                self.choices.prompt, self.choices.kinds,
            ],
            queue=False,
            js=f"(...given) => {{ window.phi?.shows('{NAME}'); return given; }}", **PRIVATE,
        )  # fmt: skip

    def _connect(self) -> None:
        c = self.choices
        modes = [c.prompt, c.own_box, c.question, c.kinds, c.items]
        c.what.change(self.on_what, c.what, modes, queue=False, preprocess=False, **PRIVATE)
        asked = Gathered(c.inputs.values(), self.session, self.keyring)
        changed = [one.change for one in c.inputs.values()]  # type: ignore[attr-defined]
        asked.on(changed, self.estimate, c.cost, queue=False, **LATEST)
        # In the page alone: an answer from here could undo what was ticked meanwhile.
        for button, codes in ((c.all_languages, [*LANGUAGES]), (c.no_language, [])):
            button.click(
                None, None, c.languages, js=f"() => [{json.dumps(codes)}]", api_visibility="private"
            )
        c.languages.change(None, js="() => phi.drawOwn?.()", api_visibility="private")
        c.own.change(self.on_own, c.own, c.own_rows, queue=False, preprocess=False, **ALWAYS)
        # Clicked by the page's script when another language was chosen: lists are made here.
        follow = gr.Button(visible="hidden", elem_id=f"{NAME}-follow")
        follow.click(
            self.say_lists, [self.session, self.keyring], [self.files, c.prompt, c.kinds],
            queue=False, **PRIVATE,
        )  # fmt: skip
        outputs = [self.matrix, self.notice, self.files, c.cost]
        started = asked.on(c.start.click, self.start, outputs, queue=False, **PRIVATE)
        self._watch(started)
        going_on = self.matrix.submit(
            self.go_on, [self.session, self.keyring], [self.matrix, self.notice], queue=False,
            **PRIVATE,
        )  # fmt: skip
        self._watch(going_on)
        self.files.input(
            self.open_listed, [self.session, self.files], [self.matrix, self.notice], queue=False,
            preprocess=False, trigger_mode="always_last", **PRIVATE,
        )  # fmt: skip
        self.upload.upload(
            self.open_upload, [self.session, self.upload], [self.matrix, self.notice, self.files],
            queue=False, **PRIVATE,
        )  # fmt: skip
        self.matrix.select(
            self.on_select, self.session, self.matrix, queue=False, **ALWAYS,
        )  # fmt: skip
        saving = self.matrix.download(self.save, self.session, self.saved, queue=False, **PRIVATE)
        saving.then(None, self.saved, js="(file) => phi.saveRun(file)", api_visibility="private")

    def _watch(self, started: Any) -> None:
        """Draw a run that was started, and say how it ended."""
        ended = started.success(
            self.draw, self.session, self.matrix, postprocess=False, concurrency_limit=None,
            **ALWAYS,
        )  # fmt: skip
        ended.then(
            self.finish, [self.session, self.keyring], [self.matrix, self.files], queue=False,
            **ALWAYS,
        )  # fmt: skip

    async def open(self, session: LanguagesSession, keyring: Keyring, request: gr.Request) -> Any:
        """Offer the models that are ready; the first time, show the recorded run."""
        named = [] if session.opened else named_models(dict(request.query_params))
        choices = await self.offers.ready(keyring, named)
        if session.opened:
            files, *lists = await self.say_lists(session, keyring)
            return gr.skip(), gr.Dropdown(choices), files, gr.skip(), session, *lists
        session.opened = True
        value = await self.offers.first(keyring, {one for _, one in choices}, named)
        file = first()
        if file:
            with suppress(RunFileError):
                run = await in_media_thread(read_listed, file, self.limits)
                await self._show(session, run, where_recorded(run), file)
        if session.run is None:
            session.board.set(origin="", headline=Sentence("Nothing was asked yet."))
        files = gr.Dropdown(listed(self.limits, keyring.locale), value=file or NONE)
        form = AskForm(models=value, languages=first_languages(self.limits))
        cost = await self.offers.cost(form, keyring, session.run)
        models = gr.Dropdown(choices, value=value)
        _, *lists = await self.say_lists(session, keyring)
        return session.board.message(0), models, files, cost, session, *lists

    async def say_lists(self, session: LanguagesSession, keyring: Keyring) -> Any:
        """Say the lists in the visitor's language."""
        locale = keyring.locale
        return (
            gr.Dropdown(listed(self.limits, locale)),
            gr.Dropdown(prompt_choices(locale)),
            gr.CheckboxGroup(kind_choices(locale)),
        )

    async def on_own(self, text: object) -> str:
        """Read the visitor's own prompts for the boxes of the languages."""
        most = self.limits.prompt_characters
        return await in_media_thread(read_own, text if isinstance(text, str) else "", most)

    async def on_what(self, what: object) -> Any:
        """Show the inputs of what is to be asked."""
        return [
            gr.Dropdown(visible=what == "prompt"),
            gr.Column(visible=what == "own"),
            gr.Textbox(visible=what == "told"),
            gr.CheckboxGroup(visible=what == "tasks"),
            gr.Slider(visible=what == "tasks"),
        ]

    async def estimate(self, values: Values) -> Any:
        """Say what a run would cost, or what is missing."""
        try:
            form = self._form(values)
        except BackendError as error:
            return cost_html(str(error))
        return await self.offers.cost(form, values[self.keyring], values[self.session].run)

    async def start(self, values: Values) -> Updates:
        """Prepare a run; `draw` starts it."""
        session, keyring, c = values[self.session], values[self.keyring], self.choices
        try:
            if session.running:
                return {c.cost: notice_html("A run is going on. Stop it first.")}
            plan = await plan_of(self._form(values), self.services, keyring)
            head = await in_media_thread(header, plan)
        except (BackendError, LanguageFileError) as error:
            return {c.cost: notice_html(str(error))}
        session.live = LiveRun(plan, head, None, self.services)
        await self._show(session, session.live.run, "Asked on this page")
        cost = Cost(len(plan.items) * len(plan.models), 0)
        session.board.set(
            going=True,
            share=0,
            status=Sentence.chain(Sentence("0 of {all} answers.", all=cost.answers), LOADING),
        )
        return {
            self.matrix: session.board.message(),
            self.notice: "",
            self.files: gr.Dropdown(value=NONE),
        }

    async def go_on(self, session: LanguagesSession, keyring: Keyring) -> Any:
        """Prepare to go on with the run that is shown, which was begun on this machine."""
        if session.running or not may_go_on(session.file, self.limits):
            return gr.skip(), gr.skip()
        try:
            run = await in_media_thread(read_listed, session.file, self.limits)
            plan = await plan_to_go_on(run.header, self.services, keyring)
        except (BackendError, LanguageFileError, RunFileError) as error:
            return gr.skip(), notice_html(str(error))
        path = path_of(session.file)
        session.live = LiveRun(plan, run.header, path, self.services, run.cells)
        session.board.add(run.cells)
        session.board.set(going=True, share=0, left=0, status=LOADING, said="", ended="")
        return session.board.message(), ""

    async def draw(self, session: LanguagesSession) -> AsyncGenerator[Any, None]:
        """Run it, and stream what comes. Closed with the page, it ends the run."""
        live = session.live
        if live is not None and live.state == "running" and not live.begun:
            due = 0.0
            place = nullcontext(live.path) if live.path else place_for(live.head, self.limits)
            with place as path:
                live.path = path
                session.board.set(kept="" if self.limits.public else f"runs/{path.name}")
                try:
                    async with aclosing(live.steps()) as ticks:
                        async for steps in ticks:
                            if session.live is not live:
                                break
                            due = await self._tick(session, live, steps, due)
                            yield session.board.message()
                except BackendError as error:
                    live.sentence = Sentence.of(str(error))
        # At its end Gradio draws what was yielded last once more, and emptiness if nothing was.
        yield gr.skip()

    async def finish(self, session: LanguagesSession, keyring: Keyring) -> Any:
        """Say how it ended, and summarise all of it."""
        live = session.live
        if live is None or live.state == "running":
            return gr.skip(), gr.skip()
        session.run = live.run
        if live.cells:
            session.board.set(**await in_media_thread(run_fields, live.run, "Asked on this page"))
            await self._draw_view(session)
        session.board.set(going=False, **ended_words(live, self.limits))
        session.live = None
        known = listed(self.limits, keyring.locale)
        name = f"runs/{live.path.name}" if live.path else NONE
        session.file = name if name in {one for _, one in known} else NONE
        session.board.set(left=await self._left(session))
        return session.board.message(), gr.Dropdown(known, value=session.file)

    async def open_listed(self, session: LanguagesSession, name: object) -> Any:
        """Show a run file that comes with the page, or was begun on this machine."""
        if not isinstance(name, str) or name == NONE:
            return gr.skip(), gr.skip()
        return await self._open(session, lambda: read_listed(name, self.limits), name)

    async def open_upload(self, session: LanguagesSession, path: str | None) -> Any:
        """Show a run file of the visitor's."""
        if not path:
            return gr.skip(), gr.skip(), gr.skip()
        file = Path(path)
        shown, notice = await self._open(session, lambda: read_named(file, file.name))
        return shown, notice, gr.skip() if notice else gr.Dropdown(value=NONE)

    async def on_select(self, event: gr.EventData, session: LanguagesSession) -> Any:
        """Something in the matrix was pressed."""
        pressed = told(event, "act", "n", "item", "view")
        since = since if isinstance(since := pressed["n"], int) else 0
        act, board = pressed["act"], session.board
        if act == "stop":
            session.stop()
            return gr.skip()
        if act == "answers" and session.run and isinstance(item := pressed["item"], str):
            run = session.live.run if session.live else session.run
            found = await in_media_thread(detail, run, item, session.file)
            board.set(detail=found and {**found, "number": board.next})
        elif act == "view":
            session.view = str(pressed["view"])
            await self._draw_view(session)
        elif act != "resync":
            return gr.skip()
        return board.message(min(since, board.number))

    async def save(self, event: gr.EventData, session: LanguagesSession) -> str:
        """Return a file of the run as JSON: its name, type and text."""
        kind = str(told(event, "as")["as"])
        run = session.live.run if session.live else session.run
        if run is None or kind not in _SAVES:
            return ""
        text = await in_media_thread(_SAVES[kind], run)
        return _file_json(f"{run.header.id}.{kind}", _TYPES[kind], text, since=session.board.next)

    # ── What they share ────────────────────────────────────────────────────────────────────────

    def _form(self, values: Values) -> AskForm:
        return AskForm.parse({name: values[one] for name, one in self.choices.inputs.items()})

    async def _open(self, session: LanguagesSession, read: Any, file: str = "") -> tuple[Any, str]:
        if session.running:
            return gr.skip(), notice_html("A run is going on. Stop it before you open another.")
        try:
            run = await in_media_thread(read)
        except RunFileError as error:
            return gr.skip(), notice_html(str(error))
        await self._show(session, run, where_recorded(run), file)
        return session.board.message(), ""

    async def _show(
        self, session: LanguagesSession, run: RunFile, origin: str, file: str = ""
    ) -> None:
        fields = await in_media_thread(run_fields, run, origin)
        board, session.run, session.file = session.board, run, file
        board.begin()
        board.set(**fields, going=False, share=0, status="", said="", ended="")
        board.set(detail=None, tax=None, pictures=None, left=await self._left(session))
        board.add(run.cells)
        await self._draw_view(session)

    async def _left(self, session: LanguagesSession) -> int:
        """How many answers of the run that is shown may be asked for here still."""
        if session.run is None or not may_go_on(session.file, self.limits):
            return 0
        return await in_media_thread(answers_left, session.run)

    async def _draw_view(self, session: LanguagesSession) -> None:
        """Put onto the board what the part that is looked at shows, and nothing else."""
        run = session.live.run if session.live else session.run
        if session.view == "picture" and run:
            session.board.set(pictures=await in_media_thread(pictures, run))
        elif session.view == "tax":
            session.board.set(tax=await tax_fields(run))

    async def _tick(
        self, session: LanguagesSession, live: LiveRun, steps: tuple[Step, ...], due: float
    ) -> float:
        """Put what is new onto the board; returns when the next summary is due."""
        board = session.board
        board.add(step.cell for step in steps if step.cell)
        if live.step:
            done, total = live.step.done, live.step.total
            board.set(share=round(done / total, 4) if total else 1, status=status_words(live))
        if steps and time.monotonic() >= due and live.cells:
            session.run = live.run
            began = time.monotonic()
            board.set(**await in_media_thread(live_fields, live.run))
            if session.view == "picture":
                await self._draw_view(session)
            # A large run is summarised more rarely: never more than a tenth of the time.
            return time.monotonic() + max(SUMMARY_INTERVAL, 10 * (time.monotonic() - began))
        return due


def _file_json(name: str, kind: str, text: str, since: int) -> str:
    # With a number, since the same file saved twice would be no change.
    return json.dumps({"name": name, "type": kind, "text": text, "at": since}, ensure_ascii=False)
