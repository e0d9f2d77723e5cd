"""Any server that speaks chat/completions: vLLM, SGLang, llama.cpp, LM Studio …"""

from typing import ClassVar

from ._core.backend import Backend, Kind, register
from ._core.sentence import Sentence
from ._remote.chat_completions import ChatCompletions


@register
class OpenAICompatible(ChatCompletions):
    """Any server that speaks chat/completions, at an address that the visitor types.

    There may be several, one model each being usual: further ones have names.
    """

    id: ClassVar[str] = "openai_compatible"
    label: ClassVar[str] = "OpenAI-compatible server"
    kind: ClassVar[Kind] = "server"
    key_env: ClassVar[str | None] = "OPENAI_COMPATIBLE_API_KEY"
    address_env: ClassVar[str | None] = "OPENAI_COMPATIBLE_BASE_URL"
    help: ClassVar[str] = Sentence(
        "Start one, for example {command}, and type its address.",
        command="`vllm serve microsoft/Phi-3.5-mini-instruct`",
    )
    can_be_named: ClassVar[bool] = True
    accepts_custom_models: ClassVar[bool] = True
    continues: ClassVar[bool] = True

    def named(self, name: str) -> Backend:
        """See `Backend.named`. The environment's address and key are not this one's.

        Clients are shared: they are kept by base URL, and hold no key.
        """
        facts = {
            "id": f"{self.id}:{name}",
            "label": name,
            "key_env": None,
            "address_env": None,
            "help": "",
            "can_be_named": False,
        }
        server = type("NamedServer", (OpenAICompatible,), facts)()
        server.clients, server.guarded_clients = self.clients, self.guarded_clients
        return server
