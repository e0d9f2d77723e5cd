"""A Python function whose comments are in the language."""

import ast
import io
import textwrap
import tokenize

from playground.languages import stays
from playground.matrix.items import Item

from .cleaning import fenced, without_unseen
from .result import Score, wrong


def code(item: Item, text: str) -> Score:
    """Score a function: it parses, its names are ASCII, its comments are in the language.

    Comments and docstrings count alike. Fenced code is read, or else the text from its first line
    that begins like Python. Python is parsed, never run.
    """
    source, tree = _parsed(without_unseen(text))
    if tree is None:
        return wrong(source, "It has no Python that parses.")
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if not functions:
        return wrong(source, "There is no function in it.")
    found = f"def {functions[0].name}"
    foreign = sorted(name for name in _names(tree) if not name.isascii())
    if foreign:
        return wrong(found, "The name {name} is not in ASCII.", name=foreign[0])
    comments = _comments(source, tree)
    if not comments:
        return wrong(found, "It has no comments.")
    language = item.answer_language or item.language
    stayed = stays("\n".join(comments), language, demanded=True)
    if stayed == "stayed":
        return Score("right", found, "", stayed)
    if stayed == "left":
        return Score("wrong", comments[0], "The comments are in another language.", stayed)
    return Score("unreadable", comments[0], "The language of the comments is undecided.", stayed)


def _parsed(text: str) -> tuple[str, ast.Module | None]:
    """The Python in a text and its tree, the first that holds a function."""
    candidates = [*fenced(text), text, _from_first_line(text)]
    last = candidates[0]
    for candidate in candidates:
        source = textwrap.dedent(candidate).strip("\n")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree)):
            return source, tree
        last = source
    return last, None


def _from_first_line(text: str) -> str:
    """Code without fences: from the first line that begins like Python to the last indented."""
    lines = text.splitlines()
    begins = ("def ", "import ", "from ", "# ", "@")
    start = next((at for at, line in enumerate(lines) if line.startswith(begins)), None)
    if start is None:
        return ""
    end = start
    for at in range(start, len(lines)):
        if lines[at].startswith((" ", "\t", *begins)):
            end = at
    return "\n".join(lines[start : end + 1])


def _names(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Name():
                found.add(node.id)
            case ast.arg() | ast.keyword():
                found.add(node.arg or "")
            case ast.Attribute():
                found.add(node.attr)
            case _:
                pass
    return found


def _comments(source: str, tree: ast.Module) -> list[str]:
    """The comments and docstrings of a source, without their marks."""
    found: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                found.append(token.string.lstrip("#! ").strip())
    except (tokenize.TokenError, SyntaxError):
        pass
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            found.append(ast.get_docstring(node) or "")
    return [comment for comment in found if comment]
