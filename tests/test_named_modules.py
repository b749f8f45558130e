"""Modules and files that a string names exist: a rename that forgets one breaks in silence."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import evolcoder

ROOT = Path(evolcoder.__file__).parent
CHECKOUT = Path(__file__).parents[1]
DOTTED = re.compile(r"\bevolcoder(?:\.[A-Za-z_][A-Za-z_0-9]*)+")
SOURCES = sorted(
    path
    for folder in (ROOT, *(CHECKOUT / name for name in ("tests", "benchmarks", "examples")))
    for path in folder.rglob("*.py")
)
TEXTS = sorted(
    path
    for pattern in (
        "*.md",
        "*.toml",
        "Makefile",
        ".ci/run",
        "docs/*.md",
        ".github/**/*.yml",
        "docker/*",
    )
    for path in CHECKOUT.glob(pattern)
    if path.is_file()
)
NOT_MODULES = re.compile(r"evolcoder\.(?:db|yaml|git)$")


def strings():
    """Find every dotted name that begins with the package in a string of the code or in a text."""
    for path in SOURCES:
        if path == Path(__file__):
            continue  # it names what is not there
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from ((path, name) for name in DOTTED.findall(node.value))
    for path in TEXTS:
        yield from ((path, name) for name in DOTTED.findall(path.read_text(encoding="utf-8")))


def exists(name):
    """Whether a dotted name is a module, or something that the module before it defines."""
    module, rest = name, ""
    while (spec := found(module)) is None:
        module, _, rest = module.rpartition(".")
    if not rest or module == "evolcoder":
        return not rest or rest in evolcoder.__all__
    if spec.submodule_search_locations is not None:
        return False
    return rest in bound(Path(spec.origin))


def bound(path):
    """Name what a module binds at its top level, imports included."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign() | ast.AnnAssign():
                yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def found(module):
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None


def test_a_module_that_a_string_names_is_there():
    """Every `evolcoder.…` in a string, a document or a build file is a module or something in one."""
    wrong = sorted(
        f"{path.relative_to(CHECKOUT)}: {name}"
        for path, name in set(strings())
        if not NOT_MODULES.search(name) and not exists(name)
    )
    assert wrong == []


PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in CHECKOUT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
PATHS = re.compile(r"\b(?:src/evolcoder|tests|benchmarks|docs|examples)/[\w/.+-]*\w")


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("evolcoder.cli.main", True),
        ("evolcoder.cli.main.main", True),
        ("evolcoder.Task", True),
        ("evolcoder.no_such_module", False),
        ("evolcoder.cli.no_such_module", False),
        ("evolcoder.cli.main.no_such_function", False),
    ],
)
def test_a_name_is_looked_up_to_its_last_part(name, there):
    """A missing module, submodule or function is noticed."""
    assert exists(name) is there


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_file_that_a_document_names_is_there(path):
    """README, CONTRIBUTING, the build files and the documents name no file that is gone."""
    if path.name in {"CHANGELOG.md"}:
        pytest.skip("history: it names files as they were then")
    names = set(PATHS.findall(path.read_text(encoding="utf-8")))
    assert sorted(name for name in names if not (CHECKOUT / name).exists()) == []


DEFINED = re.compile(
    r"`([A-Za-z_]\w+)`(?:\s\w+){0,3}\s(?:in|of)\s`((?:src|tests|docs)/[\w/]+\.py)`"
)


def test_a_name_that_contributing_locates_in_a_file_is_defined_there():
    """Such as the dict that a new language, benchmark or check is added to."""
    located = DEFINED.findall((CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(located) > 5
    assert [pair for pair in located if pair[0] not in bound(CHECKOUT / pair[1])] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_link_between_pages_resolves(page):
    """Every relative link of a document leads to a file, and its anchor to a heading there."""
    broken = []
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path = page.parent / target if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


def anchors(path):
    """Name the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", path.read_text(encoding="utf-8"))
    names = [re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings]
    return {
        name if not (n := names[:i].count(name)) else f"{name}-{n}" for i, name in enumerate(names)
    }
