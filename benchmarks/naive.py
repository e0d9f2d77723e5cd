"""The way every tutorial does it: two handlers, each yielding the whole history at every token."""

from collections.abc import AsyncGenerator
from typing import Any

import gradio as gr

from backends import Chunk, GenerationParams, Message
from benchmarks.paced import PACED, Paced

# One click listener would run them one after the other: each side gets an event of its own.
_START_BOTH = "() => ['a', 'b'].forEach((s) => document.querySelector('#go-' + s).click())"


def launch(port: int) -> None:
    """Serve it at a port of this computer until the process ends."""
    with gr.Blocks(analytics_enabled=False) as page:
        with gr.Row():
            panes = [gr.Chatbot(elem_id=f"text-conversation-{side}") for side in ("a", "b")]
        prompt = gr.Textbox(elem_id="text-prompt", interactive=True)
        for name, pane in zip(("a", "b"), panes, strict=True):
            go = gr.Button(name, elem_id=f"go-{name}")
            go.click(_answer(PACED[name]()), [prompt, pane], pane)
        gr.Button("Compare", elem_id="text-compare").click(None, js=_START_BOTH)
    page.launch(server_name="127.0.0.1", server_port=port, quiet=True)


def _answer(backend: Paced) -> Any:
    async def answer(
        prompt: str, history: list[dict[str, Any]]
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        history = [*history, {"role": "user", "content": prompt}]
        said = {"role": "assistant", "content": ""}
        messages = [Message.of("user", prompt)]
        async for chunk in backend.stream("paced", messages, GenerationParams()):
            if isinstance(chunk, Chunk) and chunk.text:
                said["content"] += chunk.text
                yield [*history, said]

    return answer
