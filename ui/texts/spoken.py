"""The sentences that the source says, read from it: what translations are asked for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from backends import BackendError

from .document import codes_in

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("backends", "playground", "ui")
_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


def _names_of(kind: type) -> Iterator[str]:
    yield kind.__name__
    for one in kind.__subclasses__():
        yield from _names_of(one)


TOLD: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(_names_of(BackendError), (0, 1)),
    "Status": (1,),
    "Rule": (1, 2),
    "Progress": (2,),
    "_refused": (0, 1),
    "Score": (2,),
    **dict.fromkeys(("wrong", "right"), (1,)),
    "unreadable": (0,),
    "_remarks": (0, 1),
}
"""What a visitor reads of a call, by the name of what is called: the places of its arguments."""
_TOLD_BY_NAME = frozenset({"message", "hint", "detail"})
"""The same, by the names of arguments and of attributes that are set."""


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
    return found | _codes_of_documents()


def sentences_of_source() -> set[str]:
    """Return the codes of the sentences that visitors are told, with values and without."""
    found: set[str] = set()
    for path in _files("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="Sentence"), args=[code, *_]):
                    found |= {text for _, text in _texts(code, {}) if text}
                case _:
                    pass
        found |= {text for _, text in _told(tree) if text and " " in text}
    return found | _codes_of_documents()


def _codes_of_documents() -> set[str]:
    return {code for path in _files("*.html") for code in codes_in(path.read_text("utf-8"))}


def glued_texts() -> list[str]:
    """Return where a visitor is told a text that is put together: no language but English has it.

    Each as `backends/zerogpu.py:90`, and each once.
    """
    found = (
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
        for path in _files("*.py")
        for node, text in _told(ast.parse(path.read_text("utf-8")))
        if text is None
    )
    return list(dict.fromkeys(found))


def _told(tree: ast.AST) -> Iterator[tuple[ast.expr, str | None]]:
    """Texts that a visitor is told, each with its place; `None` for one that is put together."""
    everywhere = _assigned(tree)
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    for scope in (tree, *functions):
        names = everywhere if scope is tree else {**everywhere, **_assigned(scope)}
        for node in ast.walk(scope):
            for one in _told_of(node):
                yield from _texts(one, names)


def _told_of(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in TOLD:
            yield from (node.args[n] for n in TOLD[name] if n < len(node.args))
            yield from (one.value for one in node.keywords if one.arg in _TOLD_BY_NAME)
    elif isinstance(node, ast.Assign):
        targets = (one for one in node.targets if isinstance(one, ast.Attribute))
        yield from (node.value for one in targets if one.attr in _TOLD_BY_NAME)


def _texts(
    node: ast.expr, names: dict[str, list[ast.expr]]
) -> Iterator[tuple[ast.expr, str | None]]:
    """The texts that an expression may be; names stand for what is assigned to them."""
    match node:
        case ast.Constant(value=str(text)):
            yield node, text
        case ast.JoinedStr() | ast.BinOp():
            yield node, None
        case ast.IfExp(body=body, orelse=other):
            yield from (*_texts(body, names), *_texts(other, names))
        case ast.BoolOp(values=values):
            for one in values:
                yield from _texts(one, names)
        case ast.Name(id=name):
            rest = {key: value for key, value in names.items() if key != name}
            for one in names.get(name, ()):
                yield from _texts(one, rest)
        case ast.Call(func=ast.Attribute(attr="chain"), args=parts):
            for one in parts:
                yield from _texts(one, names)
        case ast.Call(func=ast.Attribute(value=value, attr="strip" | "format" | "join")):
            yield from ((place, None) for place, _ in _texts(value, names))
        case _:
            pass


def _assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """What is assigned to each name, in a function or in a module and all of its functions."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(scope):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                | ast.AugAssign(target=ast.Name(id=name), value=value)
            ):
                found.setdefault(name, []).append(value)
            case _:
                pass
    return found


def _is_call(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _files(pattern: str) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob(pattern)
