"""The endpoints as tools, by a real MCP client; only where `--mcp` has what it needs.

It needs an older Pydantic than the page has, so `make test` leaves it out: `make test-mcp` runs it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.stub import Reply, Stub, delta, sse
from tests.test_app import started
from ui.api import ENDPOINTS, mcp_missing

if mcp_missing():
    pytest.skip("mcp is not installed here", allow_module_level=True)

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client

pytestmark = pytest.mark.engine


@asynccontextmanager
async def connected(url: str, way: str, number: int = 9) -> AsyncIterator[Any]:
    client = {"http": streamablehttp_client, "sse": sse_client}[way]
    path = {"http": "/gradio_api/mcp/", "sse": "/gradio_api/mcp/sse"}[way]
    headers = {"X-Forwarded-For": f"203.0.113.{number}"}
    async with (
        client(url + path, headers=headers) as streams,
        ClientSession(*streams[:2]) as session,
    ):
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
            pictures = ["https://a.example/x.png"]  # as its schema asks for a file
            found = await session.call_tool("compare", {"prompt": "Hi", "pictures": pictures})
            assert found.isError and "files that were sent to this page" in found.content[0].text


@pytest.mark.parametrize(("trusted", "spent"), [("127.0.0.1", False), ("192.0.2.1", True)])
async def test_a_visitor_is_who_a_trusted_proxy_says_and_nobody_else(
    trusted: str, spent: bool, tmp_path: Path, stub: Stub
) -> None:
    stub.on("/openai/v1/models", Reply.of({"data": [{"id": "Phi-4-mini-instruct"}]}))
    stub.on("/openai/v1/chat/completions", Reply((sse(delta("Here I am.")),)))
    more = {
        "FORWARDED_ALLOW_IPS": trusted,
        "PHI_DAILY_REQUESTS": "20",  # two for each visitor
        "AZURE_FOUNDRY_API_KEY": "x",
        "AZURE_FOUNDRY_ENDPOINT": f"{stub.url}/openai/v1",
    }
    asked = {"prompt": "Hi", "models": ["azure_foundry/Phi-4-mini-instruct"]}
    told: list[bool] = []
    with started(tmp_path, "--mcp", "--public", **more) as (_, url):
        for number in range(3):
            async with connected(url, "http", number) as session:
                found = await session.call_tool("compare", asked)
                told.append("You have used up" in found.content[0].text)
    assert told == [False, False, spent]
