"""Parser of an agent's answer in JSON, and its steps as Markdown."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from .text import strip_controls

MAX_CHARACTERS = 100_000
"""Characters of an answer; a longer one is not read."""
MAX_FAULTY_CHARACTERS = 32_000
"""Characters of an answer whose JSON has faults: to repair takes some 100 times as long."""
MAX_STEPS = 50
"""A model that wrote more has repeated itself: its answer is better shown as it is."""
MAX_DEPTH = 6
"""Depth of lists and objects down to which steps are found."""
MAX_READS_PER_CHARACTER = 10
"""Reads of a character that a repair may take, on average. Real answers need 2 or 3."""
MAX_INPUT_CHARACTERS = 160
"""Characters that are shown of an input."""
MAX_INDENT = 40
"""Spaces that are kept at the beginning of a line."""

_AGENT = ("agentid", "agent", "step", "id")
_TOOL = ("toolname", "tool")
_INPUT = ("input", "toolinput", "arguments", "parameters")
_OUTPUT = ("output", "tooloutput", "result")
_FINAL = {"final", "finalresult", "finalanswer", "result"}

_JSON = json.JSONDecoder()
_QUOTES = "\"'“”‘’„"
# Possessive quantifiers (`*+`) never go back, so that no text makes these slow.
_START = re.compile(rf"(?:\[\s*+)?\{{\s*+(?=[{_QUOTES}]|\w++\s*+:)")
"""An object's or a list's beginning, up to its first key."""
_KEY = re.compile(r"[\"'“‘](?:agent|tool)[\w ]*+[\"'”’]\s*+:", re.IGNORECASE)
"""A key of ours; outside of any object, a bracket before it is missing."""
_FENCE = re.compile(
    rf"(?<!`)```++\w*+\s*+(?=[\[{{\s]*+[{_QUOTES}]?+(?:agent|tool))|(?<=[\]}}])\s*+```++[ \t]*+$",
    re.IGNORECASE | re.MULTILINE,
)
"""A fence before an object of ours, or after any list or object."""
_CODE = re.compile(r"(?:[=(]|\(\*\*|\breturn) ?$")
"""The code before an object in a program."""

# What Markdown reads within a line, and what makes an address a link without any brackets.
_ACTIVE = re.compile(r"[\\`*_\[\]|~$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
_LEADING = re.compile(r"^(\d*)([-+#=:.)])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class AgentStep:
    """One use of a tool as the model reports it: nothing was executed."""

    name: str
    """The model's name for the step, such as `step1`; empty if it has none."""
    tool: str
    input: str
    output: str
    """The output of the tool as the model reports it. Values that are not text are compact JSON."""


@dataclass(frozen=True, slots=True)
class AgentTrace:
    """All steps that an agent reports, and its result."""

    steps: tuple[AgentStep, ...]
    result: str
    """The final output; empty if the answer ended before it."""
    repaired: bool
    """True if the JSON had faults and was repaired, so that this is a guess."""


def read_steps(text: str) -> AgentTrace | None:
    """Parse the steps in an answer; `None` if it is not an answer of an agent with tools.

    Made for the agent of the course, lesson 19 of `microsoft/generative-ai-for-beginners`
    (`19-slm/python/phi35_moe_demo.ipynb`): a list of objects with `agentid`, `tool_name`, `input`
    and `output`, the last with `agentid` `final`. It may stand in fences or in prose, be cut off,
    or have the faults that models make. Never raises; takes time linear in the length of the text.
    """
    if len(text) > MAX_CHARACTERS or "{" not in text or "tool" not in text.casefold():
        return None
    if not (match := _START.search(text)):
        return None
    key = _KEY.search(text, 0, match.start())
    start = (key or match).start()
    if not _is_the_answer(text, start):
        return None
    values, repaired = _parse_valid(text), False
    if values is None:
        values, repaired = _parse_repaired(text[start:]), True
    items = list(_items(values))
    return _trace(items, repaired) if any(map(_calls_tool, items)) else None


def steps_markdown(trace: AgentTrace) -> str:
    """The steps and the result as Markdown; what the model wrote is escaped to plain text."""
    blocks: list[str] = []
    for number, step in enumerate(trace.steps, 1):
        mark = f"{number}. "
        given = f": {_inline(step.input)}" if step.input else ""
        blocks.append(f"{mark}**{_inline(step.tool or step.name or '…')}**{given}")
        if step.output:
            quoted = (f"{' ' * len(mark)}> {line}".rstrip(" ") for line in _lines(step.output))
            blocks.append(_with_line_breaks(quoted))
    if trace.result:
        blocks += ["**Result**", _with_line_breaks(_lines(trace.result))]
    return "\n\n".join(blocks)


def _is_the_answer(text: str, start: int) -> bool:
    """True if the JSON that starts here is the answer, not part of a program or an explanation."""
    line = text[max(text.rfind("\n", 0, start) + 1, start - 80) : start]
    return not _CODE.search(line) and start <= len(text) - start


def _parse_valid(text: str) -> list[object] | None:
    """Parse every JSON value in a text; `None` if any has a fault."""
    values: list[object] = []
    end = 0
    while match := _START.search(text, end):
        if _KEY.search(text, end, match.start()):
            return None
        try:
            value, end = _JSON.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            return None
        values.append(value)
    return None if _KEY.search(text, end) else values


class _RepairTooSlowError(Exception):
    """The repair of a text takes more than `MAX_READS_PER_CHARACTER`."""


def _parse_repaired(text: str) -> object:
    """Parse faulty JSON with `json_repair`; `None` if that fails or takes too long."""
    from json_repair.json_parser import JSONParser

    if len(text) > MAX_FAULTY_CHARACTERS:
        return None
    limit = MAX_READS_PER_CHARACTER * (len(text) + 1000)

    class Parser(JSONParser):
        # Some texts make the library read ahead to their end again and again: 20,000 characters
        # took it 9 seconds. It reads its text through this attribute, so reads are counted here.
        reads = 0

        @property
        def json_str(self) -> str:
            self.reads += 1
            if self.reads > limit:
                raise _RepairTooSlowError
            return self._text

        @json_str.setter
        def json_str(self, text: str) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
            self._text = text

    try:
        # As members of a list: values one after another it would take for updates of the first.
        return Parser("[" + _FENCE.sub("\n,\n", text), None, False).parse()
    except Exception:
        # Whatever a hostile text brings it to: RecursionError, ValueError, AssertionError, ours.
        return None


def _items(value: object, depth: int = MAX_DEPTH) -> Iterator[Mapping[str, object]]:
    """The objects that may be steps, in order, their keys in lower case without `_`."""
    if depth < 0:
        return
    if isinstance(value, list):
        for member in cast("list[object]", value):
            yield from _items(member, depth - 1)
    elif isinstance(value, dict):
        pairs = cast("dict[object, object]", value).items()
        item = {_key(str(key)): member for key, member in pairs}
        if any(key in item for key in (*_TOOL, "agentid")):
            yield item
            return
        for member in item.values():
            yield from _items(member, depth - 1)
        if isinstance(_get(item, _OUTPUT), str):
            yield {"agentid": "final", **item}


def _calls_tool(item: Mapping[str, object]) -> bool:
    tool = _get(item, _TOOL)
    has_data = any(key in item for key in (*_INPUT, *_OUTPUT, "agentid"))
    return isinstance(tool, str) and bool(tool.strip()) and has_data


def _trace(items: list[Mapping[str, object]], repaired: bool) -> AgentTrace | None:
    steps: list[AgentStep] = []
    results: list[str] = []
    for item in items:
        step = AgentStep(*(_as_text(_get(item, keys)) for keys in (_AGENT, _TOOL, _INPUT, _OUTPUT)))
        is_result = _key(step.tool) in _FINAL
        final = is_result or _key(step.name) in _FINAL
        if not (step.tool or step.input or step.output):
            continue  # cut off before it began
        if final:
            results.append(step.output or step.input)
        # The last step may be called the final one: it is a step still, and its output the result.
        if not final or (step.input and step.tool and not is_result):
            steps.append(step)
    if len(steps) > MAX_STEPS:
        return None
    return AgentTrace(tuple(steps), "\n\n".join(dict.fromkeys(filter(None, results))), repaired)


def _key(key: str) -> str:
    """The normal form of a key: the same for `tool_name`, `toolName`, `“Tool name”`."""
    return re.sub(r"[\W_]+", "", key).casefold()


def _get(item: Mapping[str, object], keys: tuple[str, ...]) -> object:
    return next((item[key] for key in keys if key in item), None)


def _as_text(value: object) -> str:
    """A value as text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return strip_controls(value).strip()
    try:
        return strip_controls(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        return "…"


def _inline(text: str) -> str:
    """The beginning of a text in one line, escaped for Markdown."""
    line = " ".join(text.split())
    short = (
        line
        if len(line) <= MAX_INPUT_CHARACTERS
        else line[: MAX_INPUT_CHARACTERS - 1].rstrip() + "…"
    )
    return _escaped(short)


def _lines(text: str) -> Iterator[str]:
    """The lines of a text, escaped for Markdown, their indentation kept."""
    for line in text.expandtabs(4).split("\n"):
        rest = line.strip(" ")
        indent = min(len(line) - len(line.lstrip(" ")), MAX_INDENT) if rest else 0
        yield "&nbsp;" * indent + _LEADING.sub(r"\1\\\2", _escaped(rest))


def _escaped(text: str) -> str:
    return _ACTIVE.sub(r"\\\g<0>", text).translate(_ENTITIES)


def _with_line_breaks(lines: Iterator[str]) -> str:
    """Join lines with Markdown's hard line break, two spaces at the end."""
    return "  \n".join(lines)
