"""The endpoints as tools, by a real MCP client; only where `--mcp` has what it needs.

It needs an older Pydantic than the page's own, so `make test` leaves it out:

    pip install "mcp==1.30.0" "pydantic==2.12.5", then pytest tests/test_mcp.py
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.test_app import started
from ui.api import ENDPOINTS, mcp_missing

if mcp_missing():
    pytest.skip("mcp is not installed here", allow_module_level=True)

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client

pytestmark = pytest.mark.engine


@asynccontextmanager
async def connected(url: str, way: str) -> AsyncIterator[Any]:
    client = {"http": streamablehttp_client, "sse": sse_client}[way]
    path = {"http": "/gradio_api/mcp/", "sse": "/gradio_api/mcp/sse"}[way]
    headers = {"X-Forwarded-For": "203.0.113.9"}  # whoever says so is not believed
    async with client(url + path, headers=headers) as streams:
        async with ClientSession(*streams[:2]) as session:
            await session.initialize()
            yield session


@pytest.mark.parametrize("way", ["http", "sse"])
async def test_four_tools_answer(way: str, tmp_path: Path) -> None:
    with started(tmp_path, "--mcp") as (_, url):
        async with connected(url, way) as session:
            tools = (await session.list_tools()).tools
            assert [tool.name for tool in tools] == list(ENDPOINTS)
            assert all(tool.description for tool in tools)
            schema = tools[0].inputSchema["properties"]
            assert all(part["description"] for part in schema.values())
            text = {"text": "Guten Morgen, wie geht es dir heute?"}
            found = await session.call_tool("detect_language", text)
            assert "German" in found.content[0].text
            found = await session.call_tool("compare", {"prompt": "What is Phi-3?"})
            assert not found.isError and "family of small models" in found.content[0].text
            found = await session.call_tool("compare", {"prompt": ""})
            assert found.isError and "There is no prompt yet." in found.content[0].text


async def test_visitors_are_told_apart_by_where_they_come_from(tmp_path: Path) -> None:
    more = {"PHI_DAILY_REQUESTS": "10", "AZURE_FOUNDRY_API_KEY": "x"}
    more["AZURE_FOUNDRY_ENDPOINT"] = "http://127.0.0.1:9/openai/v1"
    with started(tmp_path, "--mcp", "--public", **more) as (_, url):
        async with connected(url, "http") as session:
            found = await session.call_tool("compare", {"prompt": "Hi", "models": ["ollama/phi"]})
            assert found.isError and "There is no model" in found.content[0].text
