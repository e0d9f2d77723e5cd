"""The page: header, theme, tabs in order, and its server."""

import asyncio
import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from queue import Empty, SimpleQueue
from typing import Any, NoReturn

import gradio as gr

from playground.answer_log import LOGGER as ANSWER_LOG
from playground.answer_log import log_answer
from playground.keyring import Keyring
from playground.languages import LANGUAGES
from playground.limits import Limits
from playground.proxies import no_proxies
from playground.services import Services

from .api import ENDPOINTS, Api
from .compare.pickers import Pickers
from .middleware import (
    Doors,
    Hosts,
    UploadFolder,
    address_of,
    clean_root_path,
    lifespan,
    own_folder,
    use_json_in_uvicorn,
    use_json_log,
    use_short_log,
)
from .sign_in import SignIn, has_sign_in
from .tabs import Tab
from .tabs.languages import LanguagesTab
from .tabs.models import ModelsTab
from .tabs.models.health_watch import HealthWatch
from .tabs.moe import MoeTab
from .tabs.text import TextTab
from .tabs.vision import VisionTab
from .texts import EN, I18N, LOCALES, TRANSLATIONS, t, words
from .theme import ASSETS, css, js, theme

TABS: tuple[type[Tab], ...] = (TextTab, VisionTab, MoeTab, LanguagesTab)
"""The tabs on which models answer, in the order of the page; the Models tab stands behind them."""

PATIENCE = 5.0
"""Seconds in which answers may end by themselves when the system ends the page (SIGTERM)."""
TELLING = 3.5
"""Seconds for the pages of those that were ended then, to show and keep what came."""
CLOSING = 0.7
"""Seconds for closing open pages' connections before the process exits."""
MAX_EVENTS = 200
"""Events that may run at once; runs are admitted per backend, by `playground.compare`."""


def build(services: Services) -> gr.Blocks:
    """Build the page."""
    sign_in = SignIn() if services.limits.public and has_sign_in() else None
    with gr.Blocks(
        title=EN["title"], analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)
    ) as page:
        gr.HTML(_header(), elem_id="header")
        gr.HTML('<div id="announcer" role="status" aria-live="polite"></div>', elem_id="announce")
        # What the visitor types to reach backends: in the memory of this server, for this visit.
        keyring = gr.State(Keyring(services.limits.public))
        pickers: list[Pickers] = []
        opening: list[Any] = []
        with gr.Tabs(elem_id="tabs"):
            for tab_type in TABS:
                with _place(tab_type.ID, tab_type.LABEL) as place:
                    tab = tab_type(services, keyring)
                    pickers += tab.pickers
                    opening.append(tab.open_on(page, place))
            with _place(ModelsTab.ID, ModelsTab.LABEL) as place:
                models_tab = ModelsTab(services.limits, keyring, sign_in)
        if sign_in:
            opening += [sign_in.read_on(one, keyring) for one in (page.load, place.select)]
        HealthWatch(services, keyring, models_tab, pickers).connect(opening, place.select)
        Api(services).connect()
    page.queue(max_size=256, default_concurrency_limit=None, api_open=False)
    return page


def _place(tab: str, label: str) -> gr.Tab:
    return gr.Tab(t(label), id=tab, elem_id=f"tab-{tab}")


ISSUES = os.environ.get("PHI_ISSUES_URL", "")
"""The address at which a wrong translation can be told. This repository names none: who serves a
page may, and without one there is no link."""


def _header() -> str:
    names = {"en": "English"} | {
        LOCALES.get(code, code): LANGUAGES[code].own_name for code in TRANSLATIONS
    }
    machine = {LOCALES.get(code, code) for code, one in TRANSLATIONS.items() if one.unread}
    files = {
        LOCALES.get(code, code): f' data-code="{code}" data-sentences="{address_of(code)}"'
        for code in TRANSLATIONS
    }
    directions = {
        LOCALES.get(code, code): ' dir="rtl"'
        for code in TRANSLATIONS
        if LANGUAGES[code].direction == "rtl"
    }
    options = "".join(
        f'<option value="{code}" lang="{code}"{" data-machine" * (code in machine)}'
        f"{files.get(code, '')}{directions.get(code, '')}>{name}</option>"
        for code, name in names.items()
    )
    issues = ISSUES if ISSUES.startswith("https://") else ""
    told = words("machine_tell" if issues else "machine")
    if issues:
        told = f'<a href="{escape(issues)}" target="_blank" rel="noopener">{told}</a>'
    return f"""
<div class="masthead" data-tabs="{" ".join(tab.ID for tab in (*TABS, ModelsTab))}">
  <h1><span class="mark" aria-hidden="true">φ</span> {EN["title"]}</h1>
  <p id="machine" hidden>{told}</p>
  <select id="language" aria-label="{EN["language"]}" data-t-label="language">{options}</select>
  <button type="button" id="present-toggle" data-t-label="present" aria-label="{EN["present"]}"
    title="{EN["present"]}" aria-pressed="false" onclick="phi.present()">⛶</button>
  <button type="button" id="theme-toggle" data-t-label="theme" aria-label="{EN["theme"]}"
    title="{EN["theme"]}" onclick="phi.theme()">◐</button>
</div>
"""


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a page is served, and how."""

    host: str = "127.0.0.1"
    port: int = 7860
    open_browser: bool = False
    allow: Sequence[str] = ()
    """Further names under which browsers reach it."""
    mcp: bool = False
    """Whether its endpoints are tools for clients of the Model Context Protocol, too."""
    root_path: str = ""
    """Where a proxy shows it."""
    json_log: bool = False
    metrics: tuple[str, int] | None = None
    """The address at which Prometheus may ask for numbers."""


def launch(services: Services, serving: Serving) -> gr.Blocks:
    """Serve the page, in threads of its own.

    Returns once it can be opened; `page.close()` ends it. Raises `OSError` and `ValueError`.
    """
    limits, root_path = services.limits, clean_root_path(serving.root_path)
    files = UploadFolder(own_folder(), limits.upload_bytes)  # before any component asks for it
    page = build(services)
    doors = Doors(ENDPOINTS, serving.mcp, page.expects_oauth)
    hosts = Hosts.of(serving.host, serving.allow, limits.public)
    with no_proxies():
        page.launch(
            server_name=serving.host,
            server_port=serving.port,
            root_path=root_path,
            inbrowser=False,
            prevent_thread_lock=True,
            share=False,
            show_error=False,
            quiet=True,
            enable_monitoring=False,
            run_history=False,
            max_threads=MAX_EVENTS,
            max_file_size=max(limits.picture.file_bytes, limits.picture.video_bytes),
            strict_cors=True,
            mcp_server=serving.mcp,
            pwa=False,
            ssr_mode=False,
            footer_links=[],
            favicon_path=str(ASSETS / "favicon.svg"),
            # `Visits` keeps fewer, and prefers open pages; this is a second limit behind it.
            state_session_capacity=limits.sessions * 2,
            app_kwargs={
                "lifespan": lifespan(services, hosts, files, doors, root_path),
                "docs_url": None,
                "redoc_url": None,
            },
            theme=theme(),
            css=css(),
            js=js(),
            i18n=I18N,
        )
    if serving.mcp and page.mcp_error:
        page.close()
        raise ValueError(page.mcp_error)
    services.phase = "ready"
    if services.loop:
        # So that the first page opens on what is here: a slow machine takes longer than it waits.
        # What fails is said when a page asks for it.
        asyncio.run_coroutine_threadsafe(services.health.check_all(), services.loop)
    if serving.open_browser and page.local_url:
        webbrowser.open(page.local_url)  # not while proxies are hidden: it takes the environment
    return page


def serve(limits: Limits, serving: Serving) -> NoReturn:
    """Serve the page until Ctrl+C, or until the system asks this process to end."""
    if serving.json_log:
        use_json_log(ANSWER_LOG)
    elif limits.public:
        use_short_log()
    services = Services(limits)
    if serving.json_log:
        services.in_flight.observers.append(log_answer)
    if serving.metrics:
        _serve_metrics(services, *serving.metrics)
    page = launch(services, serving)
    if serving.json_log:
        use_json_in_uvicorn()
    stopping: SimpleQueue[int] = SimpleQueue()
    signals = [signal.SIGINT, signal.SIGTERM]
    signals += [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # its terminal was closed
    for name in signals:
        signal.signal(name, lambda number, _: stopping.put(number))
    why = _wait_for(stopping)
    print("Phi Playground ends.", flush=True)
    for name in signals:
        signal.signal(name, signal.SIG_DFL)  # a second signal ends the process at once
    if why == signal.SIGTERM:  # it will be started again, most likely, and others use it
        services.drain_from_outside(PATIENCE, TELLING)
    closing = threading.Thread(target=page.close, args=(False,), daemon=True)
    closing.start()
    closing.join(CLOSING)
    UploadFolder(own_folder(), 0).remove()
    sys.stdout.flush()
    # Open streams and models at work would keep Python waiting for their threads, and then fail in
    # them one by one. Nothing is left to be written: what visitors have is in their browsers.
    os._exit(0)


def _wait_for(stopping: "SimpleQueue[int]") -> int:
    """The number of the first signal."""
    while True:
        with suppress(Empty):  # without a limit, Windows would not hear Ctrl+C
            return stopping.get(timeout=0.2)


def _serve_metrics(services: Services, host: str, port: int) -> None:
    from playground.metrics import Metrics

    Metrics(services).serve(host, port)


__all__ = ["TABS", "Serving", "build", "launch", "serve"]
