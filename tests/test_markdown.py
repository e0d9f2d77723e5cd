"""Answers as HTML: every word can be read, nothing runs, and what grows ends as it would whole."""

import random
import re
from html.parser import HTMLParser

import pytest

from ui.markdown import GrowingMarkdown, render

ODD = {
    "tildes": "大约需要3~5天，价格在100~200元之间。~~作废~~",
    "CJK bold": "**“小模型”**是什么？它的**优点：**便宜、快。**注意（重要）**别忘了。",
    "Japanese bold": "これは**「小さいモデル」**です。**注意：**確認してください。",
    "types": "Use std::vector<int> or List<String>, and keep a < b > c.\n\n#include <stdio.h>",
    "XML": "<server><port>8080</port></server>\n\n<!-- like this -->",
    "style": "<style>body{display:none}</style>\n\n<span id='text-stop'>x</span>",
    "prices": "It costs $5 today and $10 tomorrow. $ is cheap, $$ is fair, $$$ is dear; most $$.",
    "formulas": "Inline \\(x^2\\) and:\n\n\\[ y = \\frac{1}{2} \\]\n\n$E = mc^2$ and $$a^2$$ hold.",
    "open formula": "Now:\n\n\\[ y = \\frac{1}{2\n\nand on.",
    "poem": "Roses are red,\nViolets are blue.",
    "cells": "| a | b |\n|---|--:|\n| one<br>two | 1,234.5 |\n\nend",
    "loose list": "1. one\n\n   ```sh\n   ls\n   ```\n\n2. two\n\nafter\n- a\n  - b\n\n  c\n- d",
    "open code": "Here:\n\n```python\nfor n in range(3):\n    print(n)",
    "nested code": "````markdown\n# Title\n\n```python\nprint(1)\n```\n````\n\nend",
    "late link": "See [1] and [two].\n\n> [1]\n\n[1]: https://example.com/a\n[two]: https://e.org",
    "Arabic": "العاصمة هي باريس.\n\n- أولاً: `pip install`\n\n```py\nprint('x')\n```",
    "address": "请访问https://example.com/docs，然后注册。 Or <https://a.example/b>.",
    "names": "Call __init__ and snake_case, 2*3*4 = 24, ~/models, README.md.",
    "fold": "<details><summary>Steps</summary>\n\nhidden **text**\n\n</details>\n\nend",
    "headings": "# One\nTwo\n===\n\n## Three\n\n---\n\nFour\n---",
    "picture": "![A cat](http://elsewhere.example/cat.png?secret) and ![x](javascript:alert(1))",
    "links": "[here](https://a.example/x) [run](javascript:alert(1)) [d](data:text/html,x)",
    "emoji": "👨\u200d👩\u200d👧\u200d👦 🇫🇷\tTab\r\nnext",
    "marks": "* a\n*\n\n***\n**b\n\n| x\n|-\n|",
}


def grown(text: str, seed: int) -> GrowingMarkdown:
    """A text that came in pieces of random lengths."""
    pieces, growing = random.Random(seed), GrowingMarkdown()
    while text:
        length = pieces.randint(1, 9)
        growing.append(text[:length])
        text = text[length:]
    return growing


@pytest.mark.parametrize("text", [*ODD.values(), "\n\n".join(ODD.values())], ids=[*ODD, "all"])
def test_what_has_grown_ends_as_if_it_had_come_whole(text: str) -> None:
    for seed in range(8):
        growing = grown(text, seed)
        growing.end()
        assert "".join(block.html for block in growing.blocks()) == render(text)


def test_closed_blocks_are_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from ui.markdown import growing as module

    parsed: list[int] = []
    blocks_of = module._blocks_of

    def counted(text: str, *given, **named):
        parsed.append(len(text))
        return blocks_of(text, *given, **named)

    monkeypatch.setattr(module, "_blocks_of", counted)
    growing = GrowingMarkdown()
    for n in range(300):
        growing.append(f"Paragraph {n} of an answer.\n\n")
    assert max(parsed) < 100
    kept = growing.blocks()
    growing.append("More.")
    assert all(one is other for one, other in zip(kept[:-1], growing.blocks(), strict=False))


class Read(HTMLParser):
    """The tags, attributes and words of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}
        self.text += "\n" if tag == "br" else ""

    def handle_data(self, data: str) -> None:
        self.text += data


TAGS = re.findall(
    r"\w+",
    "p ul ol li blockquote pre code strong em s a br hr div table thead tbody tr th td span "
    "details summary button math mi mo mn mtext mrow msup msub mfrac msqrt mspace",
)
ATTRIBUTES = re.findall(
    r"[\w-]+",
    "dir class href title target rel data-host data-language tabindex role aria-label start "
    "display mathvariant stretchy lspace rspace form type data-act",
)


def test_nothing_but_what_we_make_comes_out() -> None:
    letters = [*"<>&\"'[]()!*_~`$\\|-#\n \t:/=", *ODD.values(), "javascript:", "<br>", "<a id=x>"]
    for seed in range(400):
        some = random.Random(seed)
        html = render("".join(some.choice(letters) for _ in range(some.randint(1, 40))))
        read = Read(html)
        assert read.tags <= {*TAGS}, read.tags - {*TAGS}
        assert {name for name, _ in read.attributes} <= {*ATTRIBUTES}
        for name, value in read.attributes:
            assert name != "href" or value.lower().startswith(("http://", "https://", "mailto:"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("types", ["std::vector<int>", "List<String>", "a < b > c", "#include <stdio.h>"]),
        ("XML", ["<server><port>8080</port></server>", "<!-- like this -->"]),
        ("style", ["<style>body{display:none}</style>", "<span id='text-stop'>"]),
        ("tildes", ["3~5天", "100~200元"]),
        ("prices", ["$5 today and $10 tomorrow", "$ is cheap, $$ is fair, $$$ is dear; most $$."]),
        ("names", ["__init__", "snake_case", "2*3*4 = 24", "~/models", "README.md"]),
        ("open formula", ["\\[ y = \\frac{1}{2"]),
        ("nested code", ["```python"]),
        ("fold", ["Steps", "hidden text"]),
    ],
)
def test_every_word_can_be_read(name: str, words: list[str]) -> None:
    text = Read(render(ODD[name])).text
    for piece in words:
        assert piece in text


def test_emphasis_links_and_cells() -> None:
    assert render(ODD["CJK bold"]).count("<strong>") == 3
    assert render(ODD["Japanese bold"]).count("<strong>") == 2
    assert render(ODD["tildes"]).count("<s>") == 1
    assert render(ODD["poem"]).count("<br") == 1
    cells = render(ODD["cells"])
    assert "one<br />\ntwo" in cells and '<td class="right number">1,234.5</td>' in cells
    assert 'href="https://example.com/docs"' in render(ODD["address"])
    assert 'href="https://example.com/a"' in render(ODD["late link"])
    read = Read(render(ODD["links"]))
    assert [value for name, value in read.attributes if name == "href"] == ["https://a.example/x"]
    assert ("data-host", "a.example") in read.attributes and "run" in read.text
    assert "img" not in Read(render(ODD["picture"])).tags


def test_formulas() -> None:
    assert render(ODD["formulas"]).count("<math") == 4
    assert "<math" not in render(ODD["prices"]) + render(ODD["open formula"])
    assert "<math" not in render("`$x$` and\n```\n$$x$$\n```")
    broken = render("\\(\\nosuchcommand{x}\\)")
    assert "\\nosuchcommand" in broken and "\x1b" not in broken
    macro = "\\def\\a{xx}\\def\\b{\\a\\a}\\b"
    for deep in ("{" * 5000, "\\sqrt" * 900, "\\left(" * 600, "^" * 3000, macro):
        assert "<math" not in render(f"\\({deep}x\\)")


def test_what_stands_very_deep_is_still_there() -> None:
    quoted = render(">" * 60 + " deep")
    listed = render("".join("  " * n + f"- level {n}\n" for n in range(60)))
    assert "deep" in quoted and all(f"level {n}" in listed for n in range(60))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "![" * 30_000,
        "`a" * 30_000,
        "\\[\n" * 10_000,
        "a " * 200_000,
        "**“a”**" * 9000,
    ],
    ids=["brackets", "pictures", "ticks", "formulas", "a line", "marks"],
)
def test_what_is_meant_to_take_long_comes_out(text: str) -> None:
    assert len(render(text)) >= len(text) // 8


def test_headings_and_code() -> None:
    html = render(ODD["headings"] + "\n\n```mermaid\nA[Start] --> B\n```\n\n```nosuch\n<x>\n```")
    read = Read(html)
    assert not read.tags & {"h1", "h2", "h3"} and ("class", "heading h1") in read.attributes
    assert ("data-language", "mermaid") in read.attributes and "A[Start] --> B" in read.text
    assert "<x>" in read.text


def test_each_part_has_the_direction_of_most_of_its_letters() -> None:
    html = render(
        "- Ollama أولا\n- 6.6 B active\n- 12\n\n| \u05e9\u05dc\u05d5\u05dd |\n|-|\n| 6.6 B active |"
    )
    assert '<li dir="rtl">Ollama' in html and '<li dir="ltr">6.6 B' in html and "<li>12" in html
    assert '<th dir="rtl">' in html and '<td dir="ltr">' in html
    assert '<ul dir="rtl">' in html and '<table dir="rtl">' in html, "marks stand at their side"


def test_code_that_is_very_long_is_not_coloured() -> None:
    for code in ("x = 1\n" * 4000, "x" * 2000):
        assert "<span" not in render(f"```python\n{code}\n```")
