"""A model in Microsoft's ONNX layout, through the page: offered, fetched, loaded and compared."""

from pathlib import Path

import pytest
from playwright.async_api import BrowserContext

from backends._local.host import HOST
from tests.hub import Hub
from tests.pages import SERVICES, Visitor
from tests.test_onnx_genai import PHI, lay_out

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_real_model_is_one_download_away(
    context: BrowserContext, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay_out(tmp_path / "served")
    hub = Hub(PHI.repository, {f"{PHI.folder}/{f.name}": f.read_bytes() for f in folder.iterdir()})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    SERVICES.health.forget()
    visitor = Visitor(await context.new_page(), served)
    try:
        await visitor.open(f"?left=onnx_genai/{PHI.repository}&right=pocket/pocket-3")
        page = visitor.page
        await visitor.sees("#text-state-left", "a download of about 2.8 GB, in int4")
        await page.click("#text-download-left")
        await visitor.sees("#text-state-left", "Download Phi-3.5-mini? 2.8 GB")
        await page.click("#text-confirm-left")
        await page.wait_for_selector("#text-state-left [data-state=ready]")
        await visitor.ask("What is a mixture of experts?")
        for side in ("left", "right"):
            await visitor.sees(f"#text-line-{side}", "tokens/s")
        left = await visitor.text("#text-pane-left")
        assert "a router sends each token to a few specialised networks" in left
        assert "Phi-3.5-mini" in await visitor.text("#text-line-left")
        assert visitor.faults == [], visitor.faults
    finally:
        hub.close()
        for key in HOST.loaded():
            if str(tmp_path) in key:
                HOST.unload(key)
