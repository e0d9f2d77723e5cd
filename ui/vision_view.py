"""The comparison with pictures: what is shown with a prompt, and in how many crops it is seen."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr

from backends import REGISTRY, BackendError, BadRequestError
from playground.examples.vision import VisionExample, picture_bytes
from playground.pictures import Picture, check_size, read
from playground.video import is_clip, read_frames

from .compare_view import CompareView
from .composer import notice_html
from .convert import CROPS, Form
from .events import PRIVATE, Updates
from .session import Session
from .strip import Sight, draw_sheets, strip_html
from .texts import t

SIDES = ("left", "right")
FRAMES = 8
"""Frames that are taken from a video unless the visitor wants another number."""
AT_ONCE = 2
"""Visitors whose files are read at the same time: decoding keeps a processor busy."""


class VisionView(CompareView):
    """Two panes that are shown pictures with their prompt."""

    modality = "image"
    invitation = "show_and_ask"

    # ── What is on the page ────────────────────────────────────────────────────────────────────

    def draw_beside_model(self, side: str) -> None:
        """In how many crops this side sees a picture."""
        crops = gr.Dropdown(
            [(t("crops_auto"), ""), *((str(n), n) for n in CROPS)], value="", label=t("crops"),
            elem_id=f"{self.name}-crops-{side}", elem_classes="crops", scale=0, min_width=84,
            filterable=False,
        )  # fmt: skip
        self.crops = (*getattr(self, "crops", ()), crops)

    def draw_above_prompt(self) -> None:
        """The pictures for the next prompt, and the ways to add some."""
        self.strip = gr.HTML(
            elem_id=f"{self.name}-strip", elem_classes="pictures", js_on_load=_CLICKS
        )
        with gr.Row(elem_classes="adding"):
            self.add_button = gr.UploadButton(
                t("add_pictures"), file_count="multiple", file_types=["image", "video"],
                size="sm", elem_id=f"{self.name}-add", scale=0,
            )  # type: ignore[arg-type]  # fmt: skip
            self.spacing = gr.Dropdown(
                [(t("frames_even"), "even"), (t("frames_scenes"), "scenes")], value="even",
                label=t("frames_from"), elem_id=f"{self.name}-spacing", scale=0, min_width=170,
                filterable=False,
            )  # fmt: skip
            self.frames = gr.Number(
                min(FRAMES, self.limits.picture.frames), precision=0, minimum=1,
                maximum=self.limits.picture.frames, label=t("frames"), scale=0, min_width=90,
                elem_id=f"{self.name}-frames",
            )  # fmt: skip

    @property
    def form(self) -> list[gr.Component]:
        """Those of every view, and the crops of both sides."""
        return [*super().form, *self.crops]

    @property
    def changed(self) -> list[Any]:
        """Those of every view, and the pictures."""
        return [*super().changed, self.strip]

    @property
    def filled(self) -> list[Any]:
        """Those of every view, and what an example shows."""
        return [*super().filled, self.spacing, self.frames, *self._held]

    @property
    def _held(self) -> list[Any]:
        return [self.strip, self.composer.notice]

    def _connect(self) -> None:
        super()._connect()
        form = [self.session, *self.form]
        choices = [self.spacing, self.frames]
        self.add_button.upload(
            self.add, [self.session, self.add_button, *choices, *self.form],
            [*self._held, self.add_button], preprocess=False, concurrency_limit=AT_ONCE,
            concurrency_id="pictures", **PRIVATE,
        )  # fmt: skip
        self.strip.click(self.arrange, form, self._held, queue=False, preprocess=False, **PRIVATE)
        gr.on(
            [*(crops.change for crops in self.crops), *(p.model.change for p in self.panes)],
            self.recount, form, self.strip, queue=False, preprocess=False, **PRIVATE,
        )  # fmt: skip

    # ── Events ─────────────────────────────────────────────────────────────────────────────────

    async def add(
        self, session: Session, files: Any, spacing: Any, frames: Any, *values: Any
    ) -> AsyncGenerator[Updates, None]:
        """Files were chosen, dropped or pasted: pictures, or videos whose frames are taken."""
        paths = [(Path(file["path"]), str(file.get("orig_name") or "")) for file in files or ()]
        gone = threading.Event()
        failures: list[str] = []
        try:
            self._note_form(session, values)
            for path, name in paths:
                yield {self.strip: self._strip(session, busy=f"Reading {name}…")}
                try:
                    found = await asyncio.to_thread(
                        self._read, path, name or path.name, spacing, frames, gone
                    )
                    self._hold(session, found)
                except BackendError as error:
                    failures.append(str(error))
            await self._draw_sheets(session)
        finally:
            gone.set()
            for path, _ in paths:  # nothing of a visitor stays on the disk
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        yield {
            self.strip: self._strip(session),
            self.composer.notice: notice_html(" ".join(dict.fromkeys(failures))),
            self.add_button: None,
        }

    async def arrange(self, event: gr.EventData, session: Session, *values: Any) -> Updates:
        """A picture is moved or taken away."""
        told = event._data if isinstance(event._data, dict) else {}
        pictures, n, action = [*session.pictures], told.get("n"), told.get("act")
        if not isinstance(n, int) or not 0 <= n < len(pictures):
            return gr.skip()
        to = {"earlier": n - 1, "later": n + 1}.get(str(action))
        picture = pictures.pop(n)
        if to is not None:
            pictures.insert(max(0, to), picture)
        session.pictures = tuple(pictures)
        self._note_form(session, values)
        return {self.strip: self._strip(session), self.composer.notice: ""}

    async def recount(self, session: Session, *values: Any) -> str:
        """Another model or other crops: what the pictures cost is another thing now."""
        self._note_form(session, values)
        await self._draw_sheets(session)
        return self._strip(session)

    async def picked(self, example: VisionExample, session: Session) -> Updates:
        """An example was picked: its pictures take the place of those that were there."""
        updates = await super().picked(example, session)
        if example.clip:
            updates |= {self.spacing: example.spacing, self.frames: example.frames}
        try:
            session.pictures = ()
            self._hold(session, await asyncio.to_thread(self._shown_with, example))
        except BackendError as error:
            updates[self.composer.notice] = notice_html(str(error))
        await self._draw_sheets(session)
        return {self.composer.notice: "", **updates, self.strip: self._strip(session)}

    # ── The pictures that are held for the next prompt ─────────────────────────────────────────

    def _read(
        self, path: Path, name: str, spacing: Any, frames: Any, gone: threading.Event
    ) -> Sequence[Picture]:
        limits = self.limits.picture
        if is_clip(path):
            count = frames if isinstance(frames, int) else FRAMES
            how = "scenes" if spacing == "scenes" else "even"
            count = max(1, min(count, limits.frames))
            return _ready(read_frames(path, name, how, count, limits, gone.is_set))
        check_size(path.stat().st_size, limits.file_bytes, name)  # before it is in memory
        return _ready([read(path.read_bytes(), name, limits)])

    def _shown_with(self, example: VisionExample) -> Sequence[Picture]:
        limits = self.limits.picture
        if example.clip:
            file, count = BytesIO(picture_bytes(example.clip)), example.frames or FRAMES
            count = min(count, limits.frames)
            return _ready(read_frames(file, example.clip, example.spacing, count, limits))
        return _ready([read(picture_bytes(name), name, limits) for name in example.pictures])

    def _hold(self, session: Session, pictures: Iterable[Picture]) -> None:
        """Put pictures behind those that are there, if there is room for them."""
        held = (*session.pictures, *pictures)
        self.limits.check_pictures((*session.conversation.pictures(), *held))
        session.pictures = held

    # ── What they cost, and how they are drawn ─────────────────────────────────────────────────

    def _note_form(self, session: Session, values: Sequence[Any]) -> None:
        with suppress(BadRequestError):  # what is wrong with it is said when it is sent
            session.form = Form.read(values)

    def _sights(self, session: Session) -> list[Sight]:
        earlier = session.conversation.pictures()
        sights: list[Sight] = []
        for side, (backend, model) in enumerate(session.form.sides):
            crops, count = None, len(earlier) + len(session.pictures)
            if backend in REGISTRY and model:
                with suppress(BackendError):
                    crops = REGISTRY[backend].crops(model, session.form.params_of(side), count)
            sights.append(Sight(SIDES[side], crops, earlier))
        return sights

    async def _draw_sheets(self, session: Session) -> None:
        held, sights = session.pictures, self._sights(session)
        there = {picture.digest for picture in held}
        for key in [key for key in session.sheets if key[0] not in there]:
            del session.sheets[key]
        await asyncio.to_thread(draw_sheets, held, sights, session.sheets)

    def _strip(self, session: Session, busy: str = "") -> str:
        return strip_html(session.pictures, self._sights(session), session.sheets, busy)

    def shown(self, session: Session) -> Updates:
        """Everything that follows from the state of the session, the pictures too."""
        return super().shown(session) | {self.strip: self._strip(session)}


def _ready(pictures: Sequence[Picture]) -> Sequence[Picture]:
    """The pictures with their small copies made: on the event loop that would hold up others."""
    for picture in pictures:
        picture.thumbnail  # noqa: B018
    return pictures


_CLICKS = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) trigger("click", { act: button.dataset.act, n: Number(button.dataset.n) });
});
"""
