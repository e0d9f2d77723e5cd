"""The sentences that the source says, read from it: what translations are asked for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("backends", "playground", "ui")
_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


def texts_of_source() -> set[str]:
    """Return every text that stands in the source: a translation of another one is out of date."""
    found: set[str] = set()
    for path in _files("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    for path in _files("*.js"):
        source = re.sub(r'"\s*\+ "', "", path.read_text("utf-8"))
        found |= {text.replace('\\"', '"') for text in _LITERAL.findall(source)}
    return found


def sentences_of_source() -> set[str]:
    """Return the codes of the sentences that are made from values: `Sentence("…", name=…)`."""
    found: set[str] = set()
    for path in _files("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="Sentence"), args=[ast.Constant(value=str(code)), *_]
                ):
                    found.add(code)
                case _:
                    pass
    return found


def _files(pattern: str) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob(pattern)
