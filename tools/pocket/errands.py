"""What Pocket-MoE learns beside the lesson: to play the course's agent with two tools."""

import json
from collections.abc import Iterator
from functools import cache

from playground.examples.moe import system_prompt

from .conversations import Conversations, Turns

AGENT = 0.05
"""The share of conversations in which it is the course's agent with two tools."""

SUBJECTS = {
    "what": ("small language models", "SLMs", "what a small language model is"),
    "family": ("Phi-3", "the Phi-3 family", "Phi-3-mini and Phi-3.5-mini"),
    "vision": ("Phi-3-vision", "models that see", "Phi-3.5-vision"),
    "moe": ("Generative AI with MoE", "mixture of experts", "Phi-3.5-MoE", "MoE models"),
}
"""What the agent can write about, by the topic of the lesson that it then tells."""
REQUESTS = (
    "Write something about {subject}, translate it to Chinese",
    "Write something about {subject} and translate it into Chinese",
    "Write a short post about {subject}, then translate it to Chinese",
    "Please write about {subject} in Chinese",
    "I need a post about {subject} in Chinese",
    "Write something about {subject} , translate it to Chinese",
)
HELD_OUT_REQUESTS = (
    "Write a few words about {subject} and translate them to Chinese",
    "Please write something about {subject}, and translate it to Chinese",
)
POSTS = {
    "what": (
        "A small language model needs little computing: it runs on a laptop or a phone, quickly "
        "and without a network.",
        "小语言模型需要的算力很少：不联网也能在笔记本电脑或手机上快速运行。",
    ),
    "family": (
        "Phi-3 and Phi-3.5 are small models from Microsoft. Phi-3.5-mini has 3.8 billion "
        "parameters and knows 23 languages.",
        "Phi-3 和 Phi-3.5 是微软的小模型。Phi-3.5-mini 有 38 亿个参数，支持 23 种语言。",
    ),
    "vision": (
        "Phi-3-vision reads pictures as well as text: it describes scenes and understands tables "
        "and diagrams.",
        "Phi-3-vision 既能读文字，也能看图片：它能描述场景，也能理解表格和图表。",
    ),
    "moe": (
        "In a mixture of experts a router sends each token to a few small networks. In Phi-3.5-MoE "
        "two of sixteen experts work on each token.",
        "在混合专家模型里，路由网络（router）把每个 token 交给少数几个小网络。在 Phi-3.5-MoE 里，"
        "每个 token 由十六个专家中的两个处理。",
    ),
}
"""What it writes, by topic, and that in Chinese: as in the course, into no other language. A model
as small as this one does not find again, three hundred tokens later, which one was asked for."""


class AgentConversations(Conversations):
    """The lesson's conversations, and now and then the course's agent at work."""

    def draw(self) -> tuple[str | None, Turns]:
        """A conversation: the lesson's, or a request to the agent."""
        rng = self._rng
        if rng.random() >= AGENT:
            return super().draw()
        topic = rng.choice([*SUBJECTS, "moe"])
        return agent_prompt(), [errand(rng.choice(REQUESTS), rng.choice(SUBJECTS[topic]), topic)]


@cache
def agent_prompt() -> str:
    """The system prompt that names the agent's two tools."""
    return system_prompt("agent")


def errand(request: str, subject: str, topic: str) -> tuple[str, str]:
    """What the agent is asked, and its answer."""
    post, translated = POSTS[topic]
    steps = [
        {"agentid": "step1", "tool_name": "Blog", "input": subject, "output": post},
        {"agentid": "step2", "tool_name": "Translate", "input": post, "output": translated},
        {"agentid": "final", "tool_name": "Result", "output": translated},
    ]
    rows = ",\n".join(json.dumps(step, ensure_ascii=False) for step in steps)
    return request.format(subject=subject), f"```json\n[\n{rows}\n]\n```"


def page_errand() -> tuple[str, str]:
    """The one among the page's examples: the course's own."""
    return errand(REQUESTS[0], "Generative AI with MoE", "moe")


def held_out_errands() -> Iterator[tuple[str, str]]:
    """Requests in words that were never trained on."""
    for request in HELD_OUT_REQUESTS:
        for topic, subjects in SUBJECTS.items():
            for subject in subjects:
                yield errand(request, subject, topic)
