"""Files that visitors add: read in turn, each failure said, and nothing left on the disk."""

import asyncio
import gc
import os
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from backends import BackendError
from playground.keyring import Keyring
from playground.languages import language_of
from playground.limits import LOCAL, PUBLIC
from playground.media import pictures as pictures_module
from playground.media.pictures import (
    Picture,
    PictureLimits,
    memory_held,
    read_picture,
    read_picture_unless,
)
from playground.services import Services
from tests.forms import given
from ui.middleware import own_folder
from ui.tabs.vision.session import VisionSession
from ui.tabs.vision.view import VisionView
from ui.upload_reader import MAX_CONCURRENT_READS, UploadReader


def files(folder: Path, count: int) -> dict[Path, str]:
    """Pictures of several sizes on the disk, with their names."""
    found = {}
    for n in range(1, count + 1):
        path = folder / f"{n}.png"
        Image.new("RGB", (n, 1)).save(path)
        found[path] = path.name
    return found


def look(path: Path, name: str, gone: threading.Event) -> Sequence[Picture]:
    return [read_picture(path.read_bytes(), name, PictureLimits())]


async def all_of(steps) -> list:
    async with aclosing(steps) as found:
        return [step async for step in found if not isinstance(step, str)]


async def test_as_many_as_there_is_room_for_and_none_stays(tmp_path: Path) -> None:
    given = files(tmp_path, 4)
    found = await all_of(UploadReader(tmp_path).read(given, 2, look))
    assert [pictures[0].width for pictures in found] == [1, 2]
    assert not any(path.exists() for path in given)


async def test_what_nobody_foresaw_is_said_and_the_next_is_read(tmp_path: Path) -> None:
    def falls(path: Path, name: str, gone: threading.Event) -> Sequence[Picture]:
        if name == "1.png":
            raise ZeroDivisionError
        return look(path, name, gone)

    error, pictures = await all_of(UploadReader(tmp_path).read(files(tmp_path, 2), 9, falls))
    assert isinstance(error, BackendError) and "“1.png” could not be read" in str(error)
    assert pictures[0].width == 2


async def test_who_leaves_is_noticed_and_leaves_nothing(tmp_path: Path) -> None:
    given, left, told = files(tmp_path, 2), threading.Event(), threading.Event()

    def waits(path: Path, name: str, gone: threading.Event) -> Sequence[Picture]:
        left.set()
        if gone.wait(20):
            told.set()
        return []

    uploads = UploadReader(tmp_path)
    steps = uploads.read(given, 9, waits)
    assert await anext(steps) == "Reading 1.png…"
    assert await asyncio.to_thread(left.wait, 20)
    await steps.aclose()
    assert await asyncio.to_thread(told.wait, 20)
    assert not any(path.exists() for path in given)
    (pictures,) = await all_of(uploads.read(files(tmp_path, 1), 9, look))
    assert pictures[0].width == 1  # its turn was given back


async def test_the_same_file_of_two_visitors(tmp_path: Path) -> None:
    given, uploads = files(tmp_path, 1), UploadReader(tmp_path)
    first, second = uploads.read(given, 9, look), uploads.read(given, 9, look)
    assert await anext(second) == "Reading 1.png…"
    assert len(await all_of(first)) == 1
    assert all(path.exists() for path in given)
    assert len(await all_of(second)) == 1
    assert not any(path.exists() for path in given)


async def test_more_visitors_wait_and_are_told(tmp_path: Path) -> None:
    sent, uploads = files(tmp_path, 1), UploadReader(tmp_path)
    reading = [uploads.read(sent, 9, look) for _ in range(MAX_CONCURRENT_READS)]
    for steps in reading:
        assert "Reading" in await anext(steps)
    late = uploads.read(sent, 9, look)
    assert "other visitors" in await anext(late)
    for steps in reading:
        await steps.aclose()
    assert len(await all_of(late)) == 1


@pytest.fixture
def folder() -> Path:
    """A folder as Gradio makes one for a file that was sent."""
    return Path(tempfile.mkdtemp(dir=own_folder()))


def view(limits) -> VisionView:
    with gr.Blocks():
        return VisionView("vision", Services(limits), gr.State(Keyring()))


async def test_a_tray_that_is_being_filled_is_drawn_by_what_fills_it() -> None:
    """Two answers reach the page in any order: the last one of the reading has to be the last."""
    page, session = view(LOCAL), VisionSession()
    session.reading = 1
    values = given(page, session)
    assert await page.update_costs(values) == gr.skip()
    session.reading = 0
    assert isinstance(await page.update_costs(values), str)


def uploaded(
    view: VisionView, session: VisionSession, sent: object, spacing: object, frames: object
) -> dict[Any, Any]:
    """What the event of an upload is given."""
    choices = {view.add_button: sent, view.spacing: spacing, view.frames: frames}
    return {view.session: session, **choices}


async def add(view: VisionView, session: VisionSession, sent_files: dict[Path, str]) -> dict:
    sent = [{"path": str(path), "orig_name": name} for path, name in sent_files.items()]
    async with aclosing(view.add(uploaded(view, session, sent, "even", 8))) as updates:
        return [update async for update in updates][-1]


async def test_a_public_page_takes_no_more_than_it_says(folder: Path) -> None:
    page, session = view(PUBLIC), VisionSession()
    last = await add(page, session, files(folder, 12))
    assert len(session.pictures) == PUBLIC.pictures == 8
    assert "Only 8 of 12 files" in last[page.composer.notice] and session.reading == 0
    last = await add(page, session, files(folder, 1))
    assert len(session.pictures) == 8 and "at most 8" in last[page.composer.notice]


async def test_one_file_named_a_thousand_times_is_read_once(folder: Path) -> None:
    page, session = view(LOCAL), VisionSession()
    ((path, name),) = files(folder, 1).items()
    sent = [{"path": str(path), "orig_name": name}] * 1000
    async with aclosing(page.add(uploaded(page, session, sent, None, -5))) as updates:
        assert [update async for update in updates][-1][page.composer.notice] == ""
    assert [picture.name for picture in session.pictures] == ["1.png"]


async def test_what_the_strip_was_told_long_ago_moves_nothing(folder: Path) -> None:
    page, session = view(LOCAL), VisionSession()
    await add(page, session, files(folder, 2))
    before = session.pictures
    for told in (
        {"act": "remove", "n": 0, "picture": before[1].digest},
        {"act": "remove", "n": 7, "picture": before[1].digest},
        {"act": "remove", "n": "0"},
        None,
    ):
        await page.edit_tray(gr.EventData(None, told), session)
        assert session.pictures == before
    await page.edit_tray(
        gr.EventData(None, {"act": "later", "n": 0, "picture": before[0].digest}), session
    )
    assert session.pictures == before[::-1]


async def test_a_file_elsewhere_is_neither_read_nor_deleted(tmp_path: Path) -> None:
    page, session, elsewhere = view(LOCAL), VisionSession(), files(tmp_path, 1)
    await add(page, session, elsewhere)
    assert session.pictures == () and all(path.exists() for path in elsewhere)


async def test_what_waits_to_be_read_stays_young(tmp_path: Path) -> None:
    given = files(tmp_path, 2)
    for path in given:
        os.utime(path, (1, 1))
    steps = UploadReader(tmp_path).read(given, 9, look)
    await anext(steps)
    assert all(path.stat().st_mtime > 1 for path in given)
    await steps.aclose()


async def test_pictures_of_all_visitors_have_one_limit(folder: Path) -> None:
    page = view(replace(PUBLIC, picture_memory=memory_held() + 1))
    first, second = VisionSession(), VisionSession()
    last = await add(page, first, files(folder, 1))
    assert first.pictures == () and "as many pictures as it can" in last[page.composer.notice]
    page.limits = PUBLIC
    await add(page, first, files(folder, 1))
    held = memory_held()
    page.limits = replace(PUBLIC, picture_memory=held + 1)
    last = await add(page, second, files(folder, 2))
    assert second.pictures == () and "as many pictures" in last[page.composer.notice]
    first.pictures = ()
    gc.collect()
    assert memory_held() < held  # given back with the picture


async def test_pictures_and_languages_take_no_thread_of_the_checks(folder: Path) -> None:
    go_on, crowded = threading.Event(), ThreadPoolExecutor(1)
    crowded.submit(go_on.wait)
    asyncio.get_running_loop().set_default_executor(crowded)
    page, session = view(LOCAL), VisionSession()
    try:
        async with asyncio.timeout(20):
            await add(page, session, files(folder, 1))
            assert await language_of("Where is the next railway station, please?") == "en"
    finally:
        go_on.set()
    assert len(session.pictures) == 1


async def test_a_place_is_free_when_the_decoder_has_ended_and_no_sooner(tmp_path: Path) -> None:
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def decodes(path: Path, name: str, gone: threading.Event) -> Sequence[Picture]:
        begun.release()
        go_on.wait(20)  # a decoder hears nothing in the middle of its work
        return []

    uploads = UploadReader(tmp_path)
    try:
        for _ in range(MAX_CONCURRENT_READS):
            steps = uploads.read(files(tmp_path, 1), 9, decodes)
            await anext(steps)
            assert await asyncio.to_thread(begun.acquire, timeout=20)
            await steps.aclose()
        late = uploads.read(files(tmp_path, 1), 9, look)
        assert "other visitors" in await anext(late)
    finally:
        go_on.set()
    assert len(await all_of(late)) == 1


@pytest.mark.parametrize(
    ("asked", "steps"), [(1, []), (2, ["_decode"]), (3, ["_decode", "encode"])]
)
def test_a_picture_that_nobody_waits_for_is_given_up_between_steps(
    monkeypatch: pytest.MonkeyPatch, asked: int, steps: list[str]
) -> None:
    done, answers = list[str](), iter([False] * (asked - 1) + [True] * 9)
    for name in ("_decode", "encode"):
        step = getattr(pictures_module, name)

        def noted(*given, _name=name, _step=step, **more):
            done.append(_name)
            return _step(*given, **more)

        monkeypatch.setattr(pictures_module, name, noted)
    file = BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    found = read_picture_unless(lambda: next(answers), file.getvalue(), "a.png", PictureLimits())
    assert done == steps and len(found) == (asked == 3)


def test_a_file_that_nobody_waits_for_is_not_even_opened(tmp_path: Path) -> None:
    gone = threading.Event()
    gone.set()
    assert view(LOCAL)._read_upload(tmp_path / "not there.png", "a.png", "even", 8, gone) == []
