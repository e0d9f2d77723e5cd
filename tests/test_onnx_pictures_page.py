"""Phi-3-vision in ONNX Runtime, through the page: both of them on the Vision tab, asked at once."""

from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from backends._local.host import HOST
from backends.onnx_genai import BUILDS
from tests.pages import SERVICES, Visitor, column_of, line_of
from tests.test_onnx_pictures import here
from tests.test_vision_tab import add, file, png

pytestmark = pytest.mark.asyncio(loop_scope="session")
EYES = [build for build in BUILDS if build.engine == "onnx_pictures"]


async def test_both_vision_models_see_a_picture_without_pytorch(
    context: BrowserContext, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime_genai")
    monkeypatch.setenv("PHI_MODELS_DIR", str(tmp_path / "models"))
    for build in EYES:
        here(build, tmp_path)
    SERVICES.health.forget()
    right, left = (build.repository for build in EYES)
    visitor = Visitor(await context.new_page(), served, "vision")
    try:
        await visitor.open(f"?tab=vision&a=onnx_genai/{left}&b=onnx_genai/{right}")
        await add(visitor, file("red.png", png("red")), expected=1)
        await visitor.sees("#vision-strip .costs", "up to 16 crops")
        await visitor.ask("What colour is it?")
        for side in ("a", "b"):
            await visitor.sees(column_of(side, view="vision"), "It is red.")
        await visitor.finished()
        for side, name in (("a", "Phi-3-vision"), ("b", "Phi-3.5-vision")):
            await visitor.sees(column_of(side, view="vision"), name)
            await visitor.sees(line_of(side, view="vision"), "16 crops")
        await expect(visitor.page.locator("#vision-strip li")).to_have_count(0)
        assert visitor.faults == [], visitor.faults
    finally:
        for key in HOST.loaded():
            if str(tmp_path) in key:
                HOST.unload(key)
        SERVICES.health.forget()
