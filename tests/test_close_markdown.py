"""Markdown that leaves nothing open: fences, comments and elements of answers that were stopped."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from playground.close_markdown import close_markdown

MARKDOWN = MarkdownIt("commonmark")
VOID = {"br", "hr", "img"}
NEXT = "\n\n### Right: B\n\nafter"


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("Here:\n\n```python\nprint(1)", "\n```"),
        ("Here:\n\n```python\nprint(1)\n", "```\n"),
        ("~~~~ js {.x}\n```\n~~~", "\n~~~~"),
        ("````\n```\nx\n```", "\n````"),
        ("```", "\n```"),
        ("> As you say:\n> ```\n> x", "\n> ```"),
        (">- ```\n>   x", "\n>   ```"),
        ("1. First\n\n   ```sh\n   ls", "\n   ```"),
        ("10. > - ~~~\n", "    >   ~~~\n"),
        ("<!-- a remark\n\nand more", "\n-->"),
        ("> <!-- a remark", "\n> -->"),
        ("<script>\nlet a = 1", "\n</script>"),
        ("<pre>\n\n  x", "\n</pre>"),
        ("<details>\n<summary>Steps</summary>\n\n1. One", "\n\n</details>"),
        ("<details>\n<summary>Steps", "\n\n</summary></details>"),
        ("A <b>bold <i>word", "\n\n</i></b>"),
        ("<details>\n\n```\n<b>", "\n```\n\n</details>"),
        ("> <!-- a quote's remark\n\nmore", "\n\n<!-- -->"),
    ],
)
def test_what_is_open_is_closed(text: str, end: str) -> None:
    assert close_markdown(text) == text + end


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Just words, 3 < 4 and a `<b>` in code.",
        "```python\nprint(1)\n```",
        "```\nx\n   ```  \n\nmore",
        "Inline ```code``` here",
        "    ```\n    indented code",
        "> ```\n> x\n\nThe quote has ended, and its code with it.",
        "std::vector<int> and Map<String, int>",
        "<details><summary>a</summary>b</details>",
        "<!-- a remark --> and <br> and <img src='x'>",
        "</details> that was never opened",
        "~~struck~~ and ~/home",
    ],
)
def test_what_is_closed_stays_as_it_is(text: str) -> None:
    assert close_markdown(text) == text


class Heading(HTMLParser):
    """Which elements are open where the heading of the next answer stands; `None` without one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.around: set[str] | None = None

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "h3":
            self.around = {*self.open}
        elif tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass


MARGINS = st.sampled_from(["", "  ", "> ", ">", "- ", "1. ", "    ", "> > ", "- > ", "\t"])
PIECES = st.sampled_from(
    [
        *("", "x", "```", "```py", "~~~", "~~~~ js", "````", "  ```", "```x```", "`<i>`", "***"),
        *("<!-- a", "-->", "<details>", "</details>", "<summary>t</summary>", "<b>", "a <div> b"),
        *("<script>", "</script>", "<pre>", "# h"),
    ]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(MARGINS, MARGINS, PIECES).map("".join), max_size=8).map("\n".join))
def test_whatever_an_answer_leaves_the_next_heading_stands_free(text: str) -> None:
    closed = close_markdown(text)
    lines = iter(closed.split("\n"))
    assert all(line in lines for line in text.split("\n")), "lines were changed"
    assert close_markdown(closed) == closed
    heading = Heading()
    heading.feed(MARKDOWN.render(closed + NEXT))
    assert heading.around is not None
    # Marks of quotes and lists end by themselves; Python's parser does not know that.
    assert heading.around <= {"p", "li", "ul", "ol", "blockquote"}
