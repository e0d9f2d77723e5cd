"""The comparison with pictures: a tray above the prompt, and crops of each side."""

import threading
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr

from backends import CONTEXT_CAP, REGISTRY, BackendError, Sentence
from playground.conversation import LETTERS
from playground.examples.vision import Spacing, VisionExample, picture_bytes
from playground.media.pictures import (
    Picture,
    PictureLimits,
    read_picture,
)
from playground.media.video import is_clip, read_frames
from playground.threads import in_media_thread

from ...compare.composer import notice_html
from ...compare.side import letter_of
from ...compare.view import CompareView
from ...events import ALWAYS, LATEST, PRIVATE, Updates, told
from ...gathered import Values
from ...middleware import own_folder
from ...texts import t
from ...upload_reader import UploadReader, read_upload
from .session import CROPS, VisionSession
from .tray import ImageCost, make_crop_previews, tray_html

DEFAULT_FRAMES = 8
"""Frames that are taken from a video by default."""


class VisionView(CompareView[VisionSession]):
    """Sides that receive pictures with their prompt."""

    session_type = VisionSession
    modality = "image"
    placeholder_key = "show_and_ask"

    # ── What is on the page ────────────────────────────────────────────────────────────────────

    def build_beside_model(self, side: int) -> Mapping[str, gr.Component]:
        """Add the choice of crops."""
        crops = gr.Dropdown(
            [(t("crops_auto"), ""), *((str(n), n) for n in CROPS)], value="", label=t("crops"),
            elem_id=f"{self.name}-crops-{letter_of(side)}", elem_classes="crops", scale=0,
            min_width=84, filterable=False,
        )  # fmt: skip
        return {"crops": crops}

    def build_above_prompt(self) -> None:
        """Add the tray, and the inputs of uploads."""
        self.tray = gr.HTML(
            elem_id=f"{self.name}-strip", elem_classes="pictures", js_on_load=_CLICK_SCRIPT
        )
        with gr.Row(elem_classes="adding"):
            self.add_button = gr.UploadButton(
                # Of any type: what a file is, is told from its content, and with better words.
                t("add_pictures"), file_count="multiple", size="sm",
                elem_id=f"{self.name}-add", scale=0,
            )  # type: ignore[arg-type]  # fmt: skip
            self.spacing = gr.Dropdown(
                [(t("frames_even"), "even"), (t("frames_scenes"), "scenes")], value="even",
                label=t("frames_from"), elem_id=f"{self.name}-spacing", scale=0, min_width=170,
                filterable=False,
            )  # fmt: skip
            self.frames = gr.Number(
                min(DEFAULT_FRAMES, self.limits.picture.frames), precision=0, minimum=1,
                maximum=self.limits.picture.frames, label=t("frames"), scale=0, min_width=90,
                elem_id=f"{self.name}-frames",
            )  # fmt: skip

    @property
    def view_outputs(self) -> list[Any]:
        """Those of every view, and the tray."""
        return [*super().view_outputs, self.tray]

    @property
    def example_outputs(self) -> list[Any]:
        """Those of every view, the tray, and the inputs of videos."""
        return [*super().example_outputs, self.spacing, self.frames, *self._tray_outputs]

    @property
    def _tray_outputs(self) -> list[Any]:
        return [self.tray, self.composer.notice]

    def _connect(self) -> None:
        super()._connect()
        self._uploads = UploadReader(own_folder())
        self.add_button.upload(
            self.add, {self.session, self.add_button, self.spacing, self.frames},
            [*self._tray_outputs, self.add_button], preprocess=False, concurrency_limit=None,
            **ALWAYS,
        )  # fmt: skip
        self.tray.click(self.edit_tray, self.session, self._tray_outputs, queue=False, **PRIVATE)
        chosen = [one.change for p in self.panes for one in (p.model, p.more["crops"])]  # type: ignore[attr-defined]
        self.inputs.on(chosen, self.update_costs, self.tray, queue=False, **LATEST)

    # ── Events ─────────────────────────────────────────────────────────────────────────────────

    async def add(self, values: Values) -> AsyncGenerator[Updates, None]:
        """Attach uploaded pictures, and frames of uploaded videos."""
        session, files = values[self.session], values[self.add_button]
        spacing, frames = values[self.spacing], values[self.frames]
        # A request may name thousands of files: read each once, and only as many as fit.
        paths = {Path(file["path"]): file.get("orig_name") for file in files or ()}
        named = {path: str(name or path.name) for path, name in paths.items()}
        room = max(1, self.limits.pictures - len(session.pictures))
        failures: list[str] = []
        if len(named) > room:
            code = "Only {room} of {all} files were taken: more do not fit."
            failures.append(Sentence(code, room=room, all=len(named)))

        def read_upload(path: Path, name: str, cancelled: threading.Event) -> Sequence[Picture]:
            return self._read_upload(path, name, spacing, frames, cancelled)

        session.reading += 1
        try:
            async with aclosing(self._uploads.read(named, room, read_upload)) as steps:
                async for step in steps:
                    if isinstance(step, str):
                        yield {self.tray: self._tray_html(session, busy=step)}
                    else:
                        failures += self._attach_or_explain(session, step)
            await self._update_crop_previews(session)
        finally:
            session.reading -= 1
        yield {
            self.tray: self._tray_html(session),
            self.composer.notice: notice_html(Sentence.chain(*dict.fromkeys(failures))),
            self.add_button: None,
        }

    async def ask(self, values: Values) -> Updates:
        """Compare, unless pictures are still being read."""
        if values[self.session].reading:
            return self._refuse("The pictures are still being read. Ask again in a moment.")
        return await super().ask(values)

    async def edit_tray(self, event: gr.EventData, session: VisionSession) -> Updates:
        """Move or remove a picture."""
        data = told(event, "n", "act", "picture")
        pictures, n, action = [*session.pictures], data["n"], data["act"]
        if not isinstance(n, int) or not 0 <= n < len(pictures):
            return gr.skip()
        if pictures[n].digest != data["picture"]:  # the tray has changed since
            return {self.tray: self._tray_html(session)}
        to = {"earlier": n - 1, "later": n + 1}.get(str(action))
        picture = pictures.pop(n)
        if to is not None:
            pictures.insert(max(0, to), picture)
        session.pictures = tuple(pictures)
        return {self.tray: self._tray_html(session), self.composer.notice: ""}

    async def update_costs(self, values: Values) -> Any:
        """Update the tray after another model or number of crops was chosen."""
        session = values[self.session]
        self.remember_form(session, values)
        await self._update_crop_previews(session)
        # While files are read, the reading draws the tray, at its end too: what is drawn here
        # could reach the page after that, with fewer pictures.
        return gr.skip() if session.reading else self._tray_html(session)

    async def on_example(self, example: VisionExample, session: VisionSession) -> Updates:
        """Put an example into the prompt, and its pictures in place of the attached ones."""
        updates = await super().on_example(example, session)
        limits = self.limits.picture
        frames = min(example.frames or DEFAULT_FRAMES, limits.frames)
        if example.clip:
            updates |= {self.spacing: example.spacing, self.frames: frames}
        session.example_clicks += 1
        click = session.example_clicks
        try:
            files = (example.clip,) if example.clip else example.pictures
            found = await in_media_thread(_example_pictures, files, example.spacing, frames, limits)
            if click != session.example_clicks:  # another example was clicked meanwhile
                return gr.skip()
            session.pictures = ()
            self._attach(session, found)
        except BackendError as error:
            updates[self.composer.notice] = notice_html(str(error))
        await self._update_crop_previews(session)
        return {self.composer.notice: "", **updates, self.tray: self._tray_html(session)}

    # ── The pictures that are held for the next prompt ─────────────────────────────────────────

    def _read_upload(
        self, path: Path, name: str, spacing: Any, frames: Any, cancelled: threading.Event
    ) -> Sequence[Picture]:
        limits = self.limits.picture
        if cancelled.is_set():  # cancelled before a thread was free
            return []
        if is_clip(path):
            count = frames if isinstance(frames, int) else DEFAULT_FRAMES
            how = "scenes" if spacing == "scenes" else "even"
            count = max(1, min(count, limits.frames))
            return _with_thumbnails(read_frames(path, name, how, count, limits, cancelled.is_set))
        return _with_thumbnails(read_upload(path, name, limits, cancelled))

    def _attach_or_explain(
        self, session: VisionSession, found: Sequence[Picture] | BackendError
    ) -> Sequence[str]:
        """Attach pictures; return why they could not be read or attached."""
        if isinstance(found, BackendError):
            return [str(found)]
        try:
            self._attach(session, found)
        except BackendError as error:
            return [str(error)]
        return []

    def _attach(self, session: VisionSession, pictures: Iterable[Picture]) -> None:
        """Attach pictures after the others. Raises `BackendError` if there is no room."""
        attached = (*session.pictures, *pictures)
        self.limits.check_attached_pictures((*session.conversation.pictures(), *attached))
        self.limits.check_picture_memory()
        session.pictures = attached

    # ── What they cost, and how they are drawn ─────────────────────────────────────────────────

    def _image_costs(self, session: VisionSession) -> list[ImageCost]:
        earlier, last = session.conversation.pictures(), session.conversation.last
        if session.answering and last and not last.answered:
            earlier += last.pictures
        costs: list[ImageCost] = []
        for side, chosen in enumerate(session.form.sides):
            backend, model = chosen.backend, chosen.model
            crops, count, context = None, len(earlier) + len(session.pictures), CONTEXT_CAP
            if backend in REGISTRY and model:
                with suppress(BackendError):
                    crops = REGISTRY[backend].crops(model, session.form.params_of(side), count)
                context = REGISTRY[backend].spec_of(model).context or CONTEXT_CAP
            costs.append(ImageCost(LETTERS[side], crops, earlier, context))
        return costs

    async def _update_crop_previews(self, session: VisionSession) -> None:
        attached, costs = session.pictures, self._image_costs(session)
        kept = {picture.digest for picture in attached}
        for key in [key for key in session.crop_previews if key[0] not in kept]:
            del session.crop_previews[key]
        await in_media_thread(make_crop_previews, attached, costs, session.crop_previews)

    def _tray_html(self, session: VisionSession, busy: str = "") -> str:
        return tray_html(session.pictures, self._image_costs(session), session.crop_previews, busy)

    def render(self, session: VisionSession) -> Updates:
        """Return the updates of every view, with the tray."""
        return super().render(session) | {self.tray: self._tray_html(session)}


@lru_cache(maxsize=16)
def _example_pictures(
    files: tuple[str, ...], spacing: Spacing, frames: int, limits: PictureLimits
) -> Sequence[Picture]:
    """Return the pictures of an example, or the frames of its clip."""
    found: list[Picture] = []
    for name in files:
        data = picture_bytes(name)
        if is_clip(data):
            found += read_frames(BytesIO(data), name, spacing, frames, limits)
        else:
            found.append(read_picture(data, name, limits))
    return _with_thumbnails(found)


def _with_thumbnails(pictures: Sequence[Picture]) -> Sequence[Picture]:
    """Return pictures with their thumbnails made here, off the event loop."""
    for picture in pictures:
        picture.thumbnail  # noqa: B018
    return pictures


_CLICK_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) trigger("click", { ...button.dataset, n: Number(button.dataset.n) });
});
"""
