"""Who may import whom, read from the source: the rule that carries the design."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINES = {
    "torch",
    "transformers",
    "onnxruntime",
    "onnxruntime_genai",
    "openvino",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "accelerate",
    "mlx",
    "mlx_lm",
    "spaces",
}
PHI3_VISION = ROOT / "backends" / "_local" / "phi3_vision"
TRANSPORT = ROOT / "backends" / "_remote" / "transport.py"
"""Classes of models, as Transformers holds them; importing the folder itself loads none of them."""
CLIENTS = {"openai", "ollama", "httpx", "httpx2", "requests", "aiohttp", "urllib3"}


def modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def imports(path: Path, everywhere: bool = True) -> set[str]:
    """Absolute dotted names of what a module imports; only at its top level unless everywhere."""
    package = list(path.relative_to(ROOT).with_suffix("").parts)
    package.pop()
    tree = ast.parse(path.read_text("utf-8"))
    nodes = ast.walk(tree) if everywhere else _top_level(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found.add(name)
            found |= {f"{name}.{alias.name}" for alias in node.names}
    return found


def _top_level(tree: ast.Module):
    """Statements that run at import: not those inside functions or `if TYPE_CHECKING`."""
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        stack.extend(ast.iter_child_nodes(node))


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_the_reader_of_imports_reads() -> None:
    assert "backends._core.types" in imports(ROOT / "backends" / "__init__.py")
    assert "gradio" in imports(ROOT / "ui" / "page.py")


@pytest.mark.parametrize("path", modules("backends"), ids=str)
def test_backends_know_no_page_and_no_playground(path: Path) -> None:
    assert not roots(imports(path)) & {"gradio", "ui", "playground"}


@pytest.mark.parametrize("path", modules("playground"), ids=str)
def test_playground_knows_no_page_no_engine_no_client(path: Path) -> None:
    found = imports(path)
    assert not roots(found) & ({"gradio", "ui"} | ENGINES | CLIENTS)
    assert not any(name.startswith("backends._") for name in found)


@pytest.mark.parametrize("path", modules("ui"), ids=str)
def test_ui_knows_no_engine_no_client_and_only_public_names_of_backends(path: Path) -> None:
    found = imports(path)
    assert not roots(found) & (ENGINES | CLIENTS)
    public = {name for name in found if name.startswith("backends.")}
    import backends

    assert public <= {f"backends.{name}" for name in backends.__all__}


@pytest.mark.parametrize("name", ["types", "errors", "sentence", "catalog"])
def test_the_nouns_import_nothing_of_ours(name: str) -> None:
    found = imports(ROOT / "backends" / "_core" / f"{name}.py")
    found = {one for one in found if not one.startswith("backends._core.sentence")}
    assert not any(part in {"backends", "playground", "ui"} for part in roots(found))


@pytest.mark.parametrize("path", modules("backends"), ids=str)
def test_engines_and_clients_are_imported_inside_functions(path: Path) -> None:
    # A class that is made of an engine's or a client's own needs it: who wants the class imports
    # its module inside a function.
    if path == TRANSPORT or (path.parent == PHI3_VISION and path.name != "__init__.py"):
        return
    # `import transformers` at the top of backends/transformers.py would load torch with the page.
    assert not roots(imports(path, everywhere=False)) & (ENGINES | CLIENTS)


@pytest.mark.parametrize(
    "path", [ROOT / "app.py", *modules("backends"), *modules("playground"), *modules("ui")], ids=str
)
def test_every_module_starts_with_its_caption(path: Path) -> None:
    caption = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert caption and len(caption.splitlines()[0]) <= 100


def test_spaces_holds_no_python() -> None:
    assert not list((ROOT / "spaces").rglob("*.py"))


@pytest.mark.parametrize(
    "path", [*modules("backends"), *modules("playground"), *modules("ui")], ids=str
)
def test_no_module_imports_the_tools(path: Path) -> None:
    assert not roots(imports(path)) & {"tools", "tests", "benchmarks"}


@pytest.mark.parametrize(
    ("folder", "knows"),
    [
        ("_core", {"_core"}),
        ("_local", {"_core", "_local", "_snippets"}),
        ("_remote", {"_core", "_remote", "_snippets"}),
        ("_snippets", {"_core", "_snippets"}),
    ],
)
def test_what_backends_share_stands_in_storeys(folder: str, knows: set[str]) -> None:
    for path in modules(f"backends/{folder}"):
        ours = {name.split(".")[1] for name in imports(path) if name.startswith("backends.")}
        assert ours <= knows, path


def test_the_models_of_phi3_vision_know_nothing_of_ours() -> None:
    for path in modules("backends/_local/phi3_vision"):
        ours = {name for name in imports(path) if roots({name}) & {"backends", "playground", "ui"}}
        assert all(name.startswith("backends._local.phi3_vision") for name in ours), path


@pytest.mark.parametrize("path", modules("ui"), ids=str)
def test_the_comparison_knows_no_tab_and_a_tab_no_other(path: Path) -> None:
    tab = path.relative_to(ROOT).parts[1:3]
    tabs = {tuple(name.split(".")[1:3]) for name in imports(path) if name.startswith("ui.tabs.")}
    if tab[0] == "tabs":
        own = ("tabs", tab[1].removesuffix(".py"))
        assert tabs <= {own}, path
    else:
        assert not tabs or path == ROOT / "ui" / "page.py"


def test_every_script_and_sheet_is_on_the_page() -> None:
    from ui.compare.transcript import SCRIPTS as TRANSCRIPT
    from ui.tabs.languages.component import SCRIPTS as MATRIX
    from ui.theme import SCRIPTS, SHEETS, UI

    # Those of a component's own: the module beside it gives them to Gradio; and the shell's.
    alone = {
        "assets/shell.css",
        "compare/own_settings.js",
        *(f"compare/transcript/{name}" for name in TRANSCRIPT),
        *(f"tabs/languages/{name}" for name in MATRIX),
        "tabs/languages/own.js",
        "tabs/moe/figure.js",
    }
    found = {str(path.relative_to(UI)) for kind in ("js", "css") for path in UI.rglob(f"*.{kind}")}
    named = {f"{name}.js" for name in SCRIPTS} | {f"{name}.css" for name in SHEETS}
    assert found == named | alone


def test_colours_stand_once() -> None:
    from ui.theme import UI

    for path in {*UI.rglob("*.css"), *UI.rglob("*.py")} - {UI / "assets" / "colors.css"}:
        found = re.findall(r"#[0-9a-f]{6}\b", path.read_text("utf-8"))
        assert not found, path
