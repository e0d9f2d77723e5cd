"""Any server that speaks chat/completions: vLLM, SGLang, llama.cpp, LM Studio …"""

from typing import ClassVar

from ._core.backend import Kind, register
from ._remote.chat_completions import ChatCompletions


@register
class OpenAICompatible(ChatCompletions):
    """Any server that speaks chat/completions, at an address that the visitor types."""

    id: ClassVar[str] = "openai_compatible"
    label: ClassVar[str] = "OpenAI-compatible server"
    kind: ClassVar[Kind] = "server"
    key_env: ClassVar[str | None] = "OPENAI_COMPATIBLE_API_KEY"
    address_env: ClassVar[str | None] = "OPENAI_COMPATIBLE_BASE_URL"
    help: ClassVar[str] = (
        "Start one, for example `vllm serve microsoft/Phi-3.5-mini-instruct`, and type its address."
    )
    accepts_custom_models: ClassVar[bool] = True
