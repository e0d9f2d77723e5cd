"""The page: header, theme, tabs in order, and how it is served."""

import gradio as gr

from playground.keyring import Keyring
from playground.limits import Limits

from .board import BoardWatch
from .headers import middleware
from .tabs import models, moe, text, vision
from .texts import EN, I18N, t
from .theme import ASSETS, css, js, theme

TABS = (text, vision, moe)
"""The tabs in the order in which they stand. A new tab is one file and its name here.

The Models tab stands behind them: it shows what all of them can be answered by.
"""

MAX_EVENTS = 200
"""Events that may run at once; who may start is decided per backend, by `playground.compare`."""


def build(limits: Limits) -> gr.Blocks:
    """Put the page together."""
    with gr.Blocks(
        title=EN["title"], analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)
    ) as page:
        gr.HTML(_HEADER, elem_id="header")
        gr.HTML('<div id="announcer" role="status" aria-live="polite"></div>', elem_id="announce")
        # What the visitor types to reach backends: in the memory of this server, for this visit.
        keyring = gr.State(Keyring())
        pickers, opened = [], []
        with gr.Tabs(elem_id="tabs"):
            for tab in TABS:
                with gr.Tab(t(tab.LABEL), id=tab.ID, elem_id=f"tab-{tab.ID}") as place:
                    drawn = tab.Tab(limits, keyring)
                    pickers += drawn.pickers
                    opened.append(drawn.open_on(page, place))
            with gr.Tab(t(models.LABEL), id=models.ID, elem_id=f"tab-{models.ID}"):
                board = models.ModelsTab(limits, keyring)
        BoardWatch(limits, keyring, board, pickers).begin(opened)
    page.queue(max_size=256, default_concurrency_limit=None, api_open=False)
    return page


_HEADER = f"""
<div class="masthead">
  <h1><span class="mark" aria-hidden="true">φ</span> {EN["title"]}</h1>
  <p>{EN["tagline"]}</p>
  <button type="button" id="theme-toggle" aria-label="Dark or light" title="Dark or light"
    onclick="phi.theme()">◐</button>
</div>
"""


def launch(
    limits: Limits, host: str, port: int, open_browser: bool, block: bool = True
) -> gr.Blocks:
    """Serve the page at `host:port`; returns once it is closed, or at once if not `block`."""
    page = build(limits)
    page.launch(
        server_name=host,
        server_port=port,
        inbrowser=open_browser,
        prevent_thread_lock=not block,
        share=False,
        show_error=False,
        quiet=True,
        enable_monitoring=False,
        run_history=False,
        max_threads=MAX_EVENTS,
        max_file_size=max(limits.picture.file_bytes, limits.picture.video_bytes),
        strict_cors=True,
        mcp_server=False,
        pwa=False,
        ssr_mode=False,
        footer_links=[],
        favicon_path=str(ASSETS / "favicon.svg"),
        app_kwargs={"middleware": middleware(limits), "docs_url": None, "redoc_url": None},
        theme=theme(),
        css=css(),
        js=js(),
        i18n=I18N,
    )
    return page


__all__ = ["TABS", "build", "launch"]
