"""Lines, server-sent events and lines of JSON: the same, however the network cuts them."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends._remote.lines import MAX_LINE, LineDecoder
from backends._remote.ndjson import ObjectDecoder
from backends._remote.sse import Event, EventDecoder

TEXTS = ["Paris", "你好", "สวัสดี", "👩‍🚀", "\u2028\x85\x0b", "שלום", "a: b", "data: x", ""]


DEEP = '{"a": "\\ud83d", "b": ' + "[" * 900 + "]" * 900 + "}"
"""Nested as deep as the parser goes, and too deep for what reads it afterwards."""


def events(pieces: Iterable[bytes]) -> list[Event]:
    decoder = EventDecoder()
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return found + decoder.end()


def objects(pieces: Iterable[bytes]) -> list[dict]:
    decoder = ObjectDecoder()
    found = [one for piece in pieces for one in decoder.feed(piece)]
    return found + decoder.end()


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(bounds)]


def event(text: str) -> str:
    return "data: " + json.dumps({"text": text}, ensure_ascii=False) + "\n\n"


stray = st.sampled_from(
    ["\n", ": ping\n\n", ":\n", "id: 4\n\n", "retry: 3000\n\n", "event: ping\n\n", "data:\n\n"]
)
blocks = st.lists(st.one_of(st.sampled_from(TEXTS).map(event), stray), max_size=8)
places = st.lists(st.integers(0, 10_000), max_size=12)


@given(blocks, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), places)
def test_any_cut_of_any_stream_gives_the_same_events(
    blocks: list[str], end: str, bom: bool, places: list[int]
) -> None:
    text = "".join(blocks).replace("\n", end)
    data = ("\ufeff" if bom else "").encode() + text.encode()
    wanted = [json.loads(block[6:]) for block in blocks if block.startswith('data: {"text')]
    assert [json.loads(one.data) for one in events(cut(data, places))] == wanted
    assert events(cut(data, places)) == events([data])


@given(st.binary(max_size=300), places)
def test_any_bytes_are_read_the_same_however_they_are_cut(data: bytes, places: list[int]) -> None:
    assert events(cut(data, places)) == events([data])
    lines = [LineDecoder(any_end=True) for _ in range(2)]
    whole = [*lines[0].feed(data), lines[0].end()]
    parts = [line for piece in cut(data, places) for line in lines[1].feed(piece)]
    assert [*parts, lines[1].end()] == whole


@given(st.lists(st.sampled_from(TEXTS), max_size=8), st.booleans(), places)
def test_any_cut_of_lines_of_json_gives_the_same_objects(
    texts: list[str], ended: bool, places: list[int]
) -> None:
    lines = [json.dumps({"t": text}, ensure_ascii=False) for text in texts]
    data = ("\n".join(lines) + ("\n" if ended else "")).encode()
    assert objects(cut(data, places)) == [{"t": text} for text in texts]


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        ("data: a\n\n", [Event("a")]),
        ("data:a\n\n", [Event("a")]),
        ("data:  a\n\n", [Event(" a")]),
        ("data: a\ndata: b\n\n", [Event("a\nb")]),
        ("data\n\ndata:\n\n", []),
        ("event: error\ndata: {}\n\ndata: 1\n\n", [Event("{}", "error"), Event("1")]),
        # An event without its empty line: at the end, and before the next.
        ("data: {}", [Event("{}")]),
        ('data: {"n": 1}\ndata: {"n": 2}\ndata: [DONE]\n', ['{"n": 1}', '{"n": 2}', "[DONE]"]),
        ("data: {}\nevent: error\ndata: 2\n\n", [Event("{}"), Event("2", "error")]),
        # JSON over several lines, framed as it should be.
        ('data: {\ndata: "n": 1\ndata: }\n\n', [Event('{\n"n": 1\n}')]),
        # What is in no field.
        ('error: {"code": 500}\n\n', [Event('{"code": 500}', "error")]),
        ('{"error": "x"}', [Event('{"error": "x"}', framed=False)]),
        ('data: 1\n\n{"error": "x"}\n', [Event("1"), Event('{"error": "x"}', framed=False)]),
        ('{\n  "error": "x"\n}\n', [Event('{\n  "error": "x"\n}', framed=False)]),
        ('{"n": 1}\n{"n": 2}\n', ['{"n": 1}', '{"n": 2}']),
        (
            "<html>\n<p>Sign in</p>\n</html>",
            [Event("<html>\n<p>Sign in</p>\n</html>", framed=False)],
        ),
    ],
)
def test_events(stream: str, found: list[Event | str]) -> None:
    given = events([stream.encode()])
    assert len(given) == len(found)
    pairs = zip(given, found, strict=True)
    assert [one.data if isinstance(want, str) else one for one, want in pairs] == found


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    assert events([b'data: "caf\xe9"\n\n']) == [Event('"caf\ufffd"')]
    assert objects([b'{"t": "\xff"}\n']) == [{"t": "\ufffd"}]


@pytest.mark.parametrize(
    "piece",
    [b"x" * 1000, b"data: x\n" * 100, b"data:\n" * 100, b"unframed\n" * 100, b": " + b"x" * 998],
    ids=["a line", "an event", "an event of empty lines", "unframed", "a comment"],
)
def test_what_never_ends_is_refused_in_time(piece: bytes) -> None:
    decoder = EventDecoder()
    with pytest.raises(ValueError, match="more than 1,000,000"):
        for _ in range(10_000_000 // len(piece)):
            decoder.feed(piece)


def test_endless_pings_hold_nothing() -> None:
    decoder = EventDecoder()
    for _ in range(2000):
        assert decoder.feed(b": ping\n\nevent: ping\n\ndata:\n\n" * 50) == []
    assert decoder.feed(b"data: 1\n\n") == [Event("1")]


@pytest.mark.parametrize("line", ["[1]", "x", "null", '{"a": ', "[" * 100_000, DEEP])
def test_a_line_that_is_no_object_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        objects([line.encode() + b"\n"])


def test_the_end_of_a_torn_line_is_no_object() -> None:
    assert objects([b'{"a": 1}\n{"b": ']) == [{"a": 1}]


def test_a_line_may_be_as_long_as_the_limit() -> None:
    decoder = LineDecoder()
    assert decoder.feed(b"x" * MAX_LINE) == []
    assert [len(line) for line in decoder.feed(b"\n")] == [MAX_LINE]
