"""An agent's answer: read whatever its faults are, and shown as text, never as Markdown."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from playground import agent
from playground.agent import AgentStep, AgentTrace, read_steps, steps_markdown
from playground.conversation import AnswerRecord
from ui.tabs.moe.agent_steps import steps_of

# What Phi-3.5-MoE answered in the course, shortened: microsoft/generative-ai-for-beginners (MIT),
# 19-slm/python/phi35_moe_demo.ipynb, the last cell's output. Spacing and words as they stand there.
ENGLISH = (
    "Generative AI with MOE (Mixture of Experts) is a powerful approach that combines the "
    "strengths of generative models and the flexibility of MOE architecture."
)
CHINESE = (
    "基于生成AI的MOE（Mixture of Experts）是一种强大的方法，"
    "它结合了生成模型的优势和MOE架构的灵活性。"
)
COURSE = f""" ```json

[

{{   "agentid": "step1",
    "tool_name": "Blog",
    "input": "Generative AI with MOE",
    "output": "{ENGLISH}"
}},

{{   "agentid": "step2",
    "tool_name": "Translate",
    "input": "{ENGLISH}",
    "output": "{CHINESE}"
}},
{{
    "agentid": "final",
    "tool_name": "Result",
    "output": "{CHINESE}"
}}
]
```"""

STEPS = (
    AgentStep("step1", "Blog", "MoE", "A text"),
    AgentStep("step2", "Translate", "A text", "一段文字"),
)
ROWS: list[dict[str, Any]] = [
    {"agentid": "step1", "tool_name": "Blog", "input": "MoE", "output": "A text"},
    {"agentid": "step2", "tool_name": "Translate", "input": "A text", "output": "一段文字"},
    {"agentid": "final", "tool_name": "Result", "output": "一段文字"},
]
GOOD = json.dumps(ROWS, ensure_ascii=False, indent=4)
NO_COMMA = GOOD.replace('"final",', '"final"')
BLOG, TRANSLATE, RESULT = (json.dumps(row, ensure_ascii=False) for row in ROWS)


def test_the_courses_own_answer() -> None:
    assert read_steps(COURSE) == AgentTrace(
        (
            AgentStep("step1", "Blog", "Generative AI with MOE", ENGLISH),
            AgentStep("step2", "Translate", ENGLISH, CHINESE),
        ),
        CHINESE,
        repaired=False,
    )


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        json.dumps(ROWS),
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"```JSON {GOOD}```",
        f"~~~json\n{GOOD}\n~~~",
        f"My steps [as you asked]:\n\n```json\n{GOOD}\n```\n\nI hope it (the text) helps!",
        f"**Answer:** {GOOD}",
        # A bracket too few or too many around whole objects leaves nothing to guess.
        GOOD.replace("[", "", 1),
        GOOD + "]",
        json.dumps({"steps": ROWS}),
        json.dumps({"answer": {"steps": ROWS}}),
        json.dumps({"steps": ROWS[:2], "result": "一段文字"}),
        json.dumps({"steps": ROWS[:2], "final": {"output": "一段文字"}}),
        f"{BLOG}\n{TRANSLATE}\n{RESULT}",
        f"```json\n{BLOG}\n```\n\nThen:\n\n```json\n{TRANSLATE}\n```\n```json\n{RESULT}\n```",
        f"```json\n[{BLOG}]\n```\n```json\n[{TRANSLATE}, {RESULT}]\n```",
        GOOD.replace("tool_name", "toolName").replace("agentid", "agentId"),
        GOOD.replace("tool_name", "tool").replace("agentid", "agent_id"),
        GOOD.replace("tool_name", "Tool Name")
        .replace("input", "INPUT")
        .replace("output", "Output"),
        GOOD.replace("    ", "\t").replace("\n", "\r\n"),
        GOOD.replace('"final"', '"Final"'),
        GOOD.replace('"agentid": "final"', '"agentid": "step3"'),
        GOOD.replace('"tool_name": "Result",', ""),
        GOOD.replace('"Result"', "null"),
        GOOD.replace('"tool_name": "Result",', '"tool_name": "Result", "input": null,'),
    ],
)
def test_sound_json_in_any_dress(text: str) -> None:
    trace = read_steps(text)
    assert trace
    assert [step.tool for step in trace.steps] == ["Blog", "Translate"]
    assert trace.steps == STEPS
    assert trace.result == "一段文字"
    assert not trace.repaired


@pytest.mark.parametrize(
    "text",
    [
        # The course's own prompt shows this one.
        NO_COMMA,
        f"```json\n{NO_COMMA}\n```\nThat is all, my friend: done.",
        GOOD.replace("},", "}"),
        GOOD.replace('"\n    }', '",\n    },'),
        str(ROWS),
        str([{**row, "done": True, "next": None} for row in ROWS]),
        GOOD.replace('"agentid"', "“agentid”").replace('"input"', "“input”"),
        re.sub('"([^"]*)"', r"“\1”", GOOD),
        GOOD.replace('"tool_name"', "tool_name").replace('"output"', "output"),
        GOOD.replace("]", ""),
        GOOD.replace("{", "", 1),
        GOOD.replace("[\n    {", "", 1),
        f"My steps [as you asked]: {GOOD.replace('{', '', 1)}",
        GOOD[:-8],
        GOOD.replace("    },", "    },  // a step"),
        f"{BLOG}\n{TRANSLATE}\n{RESULT[:-1]}",
        f"```json\n{BLOG[:-1]},}}\n```\n\n```json\n{TRANSLATE}\n```\n```json\n{RESULT}\n```",
        f"```json\n{BLOG[:-1]},}}\n```\nThen:\n\n```json\n[{TRANSLATE}, {RESULT}]\n```\nDone.",
        f'{{"steps": {GOOD[:-1]},]',
    ],
)
def test_faults_that_models_make(text: str) -> None:
    trace = read_steps(text)
    assert trace == AgentTrace(STEPS, "一段文字", repaired=True)


@pytest.mark.parametrize(
    "output",
    [
        "One line\nand another\n\nand a third",
        'He said "hello", and left',
        'Read "MoE": it is good (really)',
        "Code:\n```python\nprint('x')\n```\nand more",
        "It's {fine} [so far]",
        "مرحبا، هذا «نص»",
    ],
)
def test_outputs_that_were_not_escaped(output: str) -> None:
    text = f'[{{"agentid": "step1", "tool_name": "Blog", "input": "x", "output": "{output}"}},\n'
    text += '{"agentid": "final" "tool_name": "Result", "output": "end"}]'
    trace = read_steps(text)
    assert trace == AgentTrace((AgentStep("step1", "Blog", "x", output),), "end", repaired=True)


def test_every_beginning_of_an_answer_shows_what_is_there() -> None:
    """An answer that hit the token limit: no step is lost, and none is made up."""
    tools = ("Blog", "Translate")
    seen = 0
    for end in range(GOOD.index("Blog") + 5, len(GOOD)):
        trace = read_steps(GOOD[:end])
        assert trace, GOOD[:end]
        assert trace.repaired
        assert len(trace.steps) <= len(STEPS)
        for step, whole in zip(trace.steps, STEPS, strict=False):
            assert whole.output.startswith(step.output)
            assert whole.input.startswith(step.input)
        assert [step.tool for step in trace.steps if step.tool in tools][:seen] == list(
            tools[:seen]
        )
        seen = max(seen, sum(step.tool in tools for step in trace.steps))
        assert "一段文字".startswith(trace.result)
    assert seen == 2


@pytest.mark.parametrize(
    "value, shown",
    [
        (3, "3"),
        (0.5, "0.5"),
        (True, "true"),
        (None, ""),
        ([1, "二"], '[1,"二"]'),
        ({"text": "x", "to": ["zh"]}, '{"text":"x","to":["zh"]}'),
        ("  spaced\r\nout\x00 ", "spaced\nout"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
    ],
)
def test_values_that_are_no_plain_text(value: object, shown: str) -> None:
    text = json.dumps([{"tool_name": "Blog", "input": value, "output": value}])
    assert read_steps(text) == AgentTrace(
        (AgentStep("", "Blog", shown, shown),), "", repaired=False
    )


def test_a_call_without_an_output_is_a_step_and_no_result() -> None:
    call = '{"tool_name": "Blog", "input": "Build multi-agents"}'
    assert read_steps(call) == AgentTrace(
        (AgentStep("", "Blog", "Build multi-agents", ""),), "", False
    )


def test_a_final_step_with_a_tool_of_its_own_is_both() -> None:
    row = '[{"agentid": "final", "tool_name": "Translate", "input": "x", "output": "y"}]'
    assert read_steps(row) == AgentTrace(
        (AgentStep("final", "Translate", "x", "y"),), "y", repaired=False
    )


def test_different_results_are_all_kept() -> None:
    other = RESULT.replace("一段文字", "another")
    trace = read_steps(f"{RESULT}\n{RESULT}\n{other}")
    assert trace == AgentTrace((), "一段文字\n\nanother", repaired=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A tool is a thing.",
        "A hammer {a tool} is [useful].",
        "[]",
        "{}",
        "```json\n[]\n```",
        "[1, 2, 3]",
        '["tool", {"a": 1}]',
        '{"name": "hammer", "kind": "tool"}',
        '{"tool": "hammer", "price": 3}',
        '{"tool": 5, "input": 3}',
        '{"tool_name": "", "input": "x"}',
        '{"tools": [{"name": "Blog", "input": "x"}]}',
        '[{"type": "function", "function": {"name": "tool", "arguments": "{}"}}]',
        '{"tool": "hammer", "price": 3,',
        "tool = {key: value for key, value in tools}",
        'answer = {"tool_name": "Blog", "input": topic}',
        'def call():\n    return {"tool_name": "Blog", "input": "x"}',
        'run({"tool_name": "Blog", "input": "x"})',
        'run(**{"tool_name": "Blog", "input": "x"})',
        'An agent writes JSON for each tool, such as this one here: {"tool": "Blog", "input": "x"}',
        "\\text{tool}: \\frac{1}{2}",
        "工具 {“a”: 1}",
    ],
)
def test_what_is_no_agents_answer(text: str) -> None:
    assert read_steps(text) is None


def test_the_library_is_loaded_for_faults_only() -> None:
    code = (
        "import sys; from playground.agent import read_steps\n"
        "assert read_steps(sys.argv[1]) and not read_steps('{broken, {tool')\n"
        "assert 'json_repair' not in sys.modules\n"
        "assert read_steps(sys.argv[1][:-1]) and 'json_repair' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, GOOD], check=True)


# -- hostile texts -------------------------------------------------------------------------

THIRTY = json.dumps(ROWS[:1] * 30)
BEGINNING = '[{"tool_name": "Blog", "input": '
HOSTILE = [
    *(
        "[",
        "{",
        '"',
        "'",
        "(",
        "\\",
        '{"a":',
        '{"tool":',
        "[{",
        '[{"tool":',
        '{"a":["',
        '"}',
        '","}',
    ),
    *('":"//', '#"a": "b" 中', '` "b" ', '\\"', "/*(", '"tool""}"a":"', "```", "```json\n{", "“"),
    *('{"tool":"a"}', '{"tool" ', "{tool", "{ ", "{a", "[ ", "\n", " ", '"a" "b"', "}\n```\n", "9"),
]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of times that each repair read its text."""
    from json_repair.json_parser import JSONParser

    counts: list[int] = []
    parse = JSONParser.parse

    def counted(self: Any) -> object:
        try:
            return parse(self)
        finally:
            counts.append(self.reads)

    monkeypatch.setattr(JSONParser, "parse", counted)
    return counts


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("beginning", ["tool", BEGINNING, BEGINNING + '"'])
def test_work_is_bounded_whatever_the_text(piece: str, beginning: str, reads: list[int]) -> None:
    for length in (agent.MAX_FAULTY_CHARACTERS, agent.MAX_CHARACTERS):
        text = (beginning + piece * length)[:length]
        read_steps(text)
        if length > agent.MAX_FAULTY_CHARACTERS:
            assert len(reads) <= 1
    assert all(
        count <= agent.MAX_READS_PER_CHARACTER * (agent.MAX_FAULTY_CHARACTERS + 1000) + 1
        for count in reads
    )


def test_a_repair_that_takes_too_much_is_given_up(reads: list[int]) -> None:
    # The library alone needs 9 seconds for this; every step more takes it longer than the last.
    assert read_steps('[{"tool":' + '"}' * 10_000) is None
    assert reads == [agent.MAX_READS_PER_CHARACTER * (20_009 + 1000) + 1]


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace('"final",', '"final"'),
        COURSE[:-20],
        THIRTY.replace("A text", 'A "long" text (with `code`, it\'s {x}):\n- a\n' * 20),
        str(ROWS * 10),
    ],
)
def test_real_faults_need_a_fraction_of_what_is_allowed(text: str, reads: list[int]) -> None:
    trace = read_steps(text)
    assert trace and trace.repaired
    assert sum(reads) <= agent.MAX_READS_PER_CHARACTER * len(text) / 2


def test_length_depth_and_number_of_steps_are_limited(reads: list[int]) -> None:
    long = json.dumps([{**ROWS[0], "output": "x" * (agent.MAX_CHARACTERS - 200)}])
    assert read_steps(long)
    assert read_steps(long + " " * 200) is None
    assert read_steps(long[:-1]) is None, "too long to repair"
    assert not reads

    assert read_steps(json.dumps(ROWS[:1] * agent.MAX_STEPS + ROWS[2:]))
    assert read_steps(json.dumps(ROWS[:1] * (agent.MAX_STEPS + 1))) is None

    assert read_steps('{"a":' * 3 + GOOD + "}" * 3)
    assert read_steps('{"a":' * 9 + GOOD + "}" * 9) is None

    deep = json.dumps(ROWS[0]).replace('"MoE"', "[" * 50_000 + "]" * 40_000)
    assert read_steps(deep) is None
    assert read_steps(deep.replace("[" * 50_000 + "]" * 40_000, "[" * 90 + "]" * 90))


@given(
    st.lists(
        st.sampled_from(
            [*HOSTILE, BLOG, TRANSLATE[:40], ",", ":", "]", "}", "tool", "[", "{", "\u2028"]
        )
        | st.text(max_size=5),
        max_size=30,
    ).map("".join)
)
@example("{'tool': {1: 2}, 3: [}]")
@settings(max_examples=300, deadline=None)
def test_nothing_raises(text: str) -> None:
    for answer in (text, BEGINNING + text):
        trace = read_steps(answer)
        if trace:
            assert steps_markdown(trace).encode()
            assert len(trace.steps) <= agent.MAX_STEPS


# -- shown to a person ---------------------------------------------------------------------


def test_steps_for_a_person() -> None:
    assert steps_markdown(AgentTrace(STEPS, "一段文字", repaired=False)) == (
        "1. **Blog**: MoE\n\n   > A text\n\n"
        "2. **Translate**: A text\n\n   > 一段文字\n\n"
        "**Result**\n\n一段文字"
    )


def test_a_missing_part_is_left_out() -> None:
    markdown = steps_markdown(AgentTrace((AgentStep("step1", "", "", ""),), "", repaired=True))
    assert markdown == "1. **step1**"


def test_a_repair_is_told_below_the_steps() -> None:
    def note(text: str) -> str:
        record = AnswerRecord(model="m", backend="b", text=text)
        return re.sub(r"<[^>]*>", "", steps_of(record)[1].partition("<details")[0])

    whole = json.dumps([{"step1": {"tool": "Blog", "input": "x", "output": "y"}}])
    assert steps_of(AnswerRecord(model="m", backend="b", text=whole))[1].count("<details") == 1
    assert note(whole).startswith("The model wrote all of this itself")
    assert note(whole[:-2] + ",]").startswith("The JSON of this answer had faults")


def test_long_inputs_are_shortened_and_long_outputs_are_not() -> None:
    trace = AgentTrace((AgentStep("", "Blog", "字" * 500, "字" * 500),), "", repaired=False)
    first, quote = steps_markdown(trace).split("\n\n")
    assert first == "1. **Blog**: " + "字" * 159 + "…"
    assert quote == "   > " + "字" * 500


@pytest.mark.parametrize(
    "text", ["مرحبا، كيف الحال؟", "‏שלום‏", "你好，“世界”。", "한국어 «é» 👩‍👩‍👧"]
)
def test_all_scripts_survive(text: str) -> None:
    markdown = steps_markdown(AgentTrace((AgentStep("s", text, text, text),), text, repaired=False))
    assert markdown == f"1. **{text}**: {text}\n\n   > {text}\n\n**Result**\n\n{text}"


GFM = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PLAIN = {
    *("ordered_list_open", "ordered_list_close", "list_item_open", "list_item_close", "inline"),
    *("paragraph_open", "paragraph_close", "blockquote_open", "blockquote_close"),
    *("text", "strong_open", "strong_close", "hardbreak", "softbreak", "text_special"),
}


def parsed(markdown: str) -> tuple[set[str], list[str]]:
    """The kinds of all tokens, and the text of each paragraph as a reader sees it."""
    kinds: set[str] = set()
    texts: list[str] = []
    for token in GFM.parse(markdown):
        kinds.add(token.type)
        if token.type == "inline":
            children = token.children or []
            kinds |= {child.type for child in children}
            breaks = {"hardbreak", "softbreak"}
            texts.append("".join("\n" if c.type in breaks else c.content for c in children))
    return kinds, texts


ATTACKS = [
    "# heading",
    "###### six",
    "title\n===",
    "title\n---",
    "***",
    "> quote",
    "- item\n- item",
    "+ item",
    "* item",
    "1. one\n2) two",
    "12345. many",
    "`code` and ``more",
    "```\nfence\n```",
    "~~~\nfence",
    "    indented\n        more",
    "a\n\n    indented after a gap",
    "\tTab",
    "| a | b |\n| - | - |\n| 1 | 2 |",
    "a\n:-:",
    "<b>bold</b>",
    "<script>alert(1)</script>",
    "<!-- comment",
    "&lt;b&gt; &amp; &#65; &nbsp;",
    "![picture](https://example.com/a.png)",
    "[link](javascript:alert(1))",
    "[link][ref]\n\n[ref]: https://example.com",
    "[^1]: note",
    "<https://example.com>",
    "**bold** *it* _it_ __b__ ~~gone~~ ~x~",
    "\\*not\\* \\",
    "a\\",
    "**",
    "$$x$$ $y$ \\(z\\)",
    "ends in\n\n\n\nnothing",
    "first\nsecond\nthird",
    "</div></blockquote>\n\nout",
    "<details><summary>x</summary>\n\ny",
    "x *\n* y",
    "100% & more < less > most",
    "snake_case_name",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_a_model_cannot_write_markdown(text: str) -> None:
    trace = AgentTrace(
        (AgentStep("s", text, text, text), AgentStep("t", "Blog", "x", "y")), text, repaired=False
    )
    kinds, texts = parsed(steps_markdown(trace))
    assert kinds <= PLAIN
    line = " ".join(text.split())
    indented = re.sub("(?m)^ +", lambda m: "\u00a0" * len(m[0]), text.expandtabs(4))
    shown = [part.strip("\n") for part in indented.split("\n\n") if part.strip("\n")]
    assert texts == [f"{line}: {line}", *shown, "Blog: x", "y", "Result", *shown]


@pytest.mark.parametrize(
    "text",
    ["https://example.com", "ftp://a.b", "www.example.com", "WWW.example.com", "a@example.com"],
)
def test_addresses_do_not_become_links(text: str) -> None:
    markdown = steps_markdown(AgentTrace((AgentStep("s", text, text, text),), text, repaired=False))
    assert text not in markdown
    assert parsed(markdown)[1] == [f"{text}: {text}", text, "Result", text]


@given(st.text(alphabet=st.sampled_from("ab \n\t#*_`~[]()<>!|-+=:.1&;\\$@你"), max_size=40))
@settings(max_examples=500, deadline=None)
def test_no_text_at_all_gets_out(text: str) -> None:
    trace = AgentTrace(
        (AgentStep("s", "T" + text, text, text), AgentStep("t", "Blog", "x", "y")), text, False
    )
    kinds, texts = parsed(steps_markdown(trace))
    assert kinds <= PLAIN
    assert "Blog: x" in texts and "y" in texts
