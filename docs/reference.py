"""Writes the reference pages from the code: command line, config, drops, records, databases, API.

The tutorial that is a notebook is written from `examples/notebook.ipynb`.

    python docs/reference.py            writes docs/reference/*.md and docs/tutorials/notebook.md
    python docs/reference.py --check    fails if a page is not what the code says

Texts are the docstrings and help texts of the code, read by `ast` and argparse, so a page is the
same on every version of Python.
"""

import argparse
import ast
import importlib
import inspect
import json
import re
import sqlite3
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import evolcoder
from evolcoder.cli.main import VERBS
from evolcoder.config import load, schema
from evolcoder.engine import cache
from evolcoder.evaluation import store as evaluation_store
from evolcoder.experiment import config as loop_config
from evolcoder.experiment import store as experiment_store
from evolcoder.storage import run_store
from evolcoder.training import recipe

OUT = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/reference.py from the code; change the code. -->\n\n"
STORES = {
    "Run (`run.db`)": run_store,
    "Evaluation (`eval.db`)": evaluation_store,
    "Loop (`loop.db`)": experiment_store,
    "Completion cache (`completions.db`)": cache,
}


def tree_of(module: ModuleType) -> ast.Module:
    """Parse the source of a module."""
    return ast.parse(inspect.getsource(module))


def attribute_docs(node: ast.ClassDef) -> dict[str, str]:
    """Return the texts under the attributes of a class."""
    found, name = {}, ""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign | ast.Assign):
            targets = (
                [statement.target] if isinstance(statement, ast.AnnAssign) else statement.targets
            )
            name = targets[0].id if isinstance(targets[0], ast.Name) else ""
            found.setdefault(name, "")
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and name:
            found[name] = one_line(str(statement.value.value))
            name = ""
    found.pop("", None)
    return found


def one_line(text: str) -> str:
    return " ".join(text.split())


def cell(text: str) -> str:
    """Escape what would end a cell of a table."""
    return text.replace("|", "\\|")


def docs_of_classes(*modules: ModuleType) -> dict[str, dict[str, str]]:
    """Return class name -> attribute -> text, those of base classes included."""
    nodes = {
        node.name: node
        for module in modules
        for node in tree_of(module).body
        if isinstance(node, ast.ClassDef)
    }

    def of(name: str) -> dict[str, str]:
        node = nodes[name]
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        inherited = [of(base) for base in bases if base in nodes]
        return {
            key: text for docs in [*inherited, attribute_docs(node)] for key, text in docs.items()
        }

    return {name: of(name) for name in nodes}


KEY_HEAD = ("| key | type | default | |", "| --- | --- | --- | --- |")


def configuration() -> str:
    """Every key of the configs of a run and of a loop, and of a training, with type, default and text."""
    docs = docs_of_classes(schema, load, loop_config, recipe)
    lines = ["# Configuration keys\n", "Keys of `evolcoder run`, `verify`, `eval` and the API; ",
             "[Configuration](../configuration.md) explains how they are set. ",
             "[A loop](#keys-of-a-loop) and [a training](#keys-of-a-training) have further ones.\n",
             *config_keys(load.Config, docs, plain={"servers", "prices"})]  # fmt: skip
    for title, section in (("evolve.heuristics.NAME", schema.HeuristicConfig),
                           ("evolve.heuristics.NAME.examples", schema.ExampleConfig),
                           ("servers.HOST", schema.ServerConfig),
                           ("prices.NAME", schema.Price)):  # fmt: skip
        lines += key_table(f"## `{title}`", section, docs)
    lines += ["\n## Keys of a loop\n",
              "The file of `evolcoder loop`; [The loop](../loop.md) has an example.\n",
              *config_keys(loop_config.LoopConfig, docs, plain={"run"}, of=" of a loop",
                           level="###")]  # fmt: skip
    lines += ["\n## Keys of a training\n",
              "`evolcoder train --set KEY=VALUE` sets them; `--preset` names the values below.\n",
              *KEY_HEAD, *key_rows("", recipe.Recipe, docs), *presets()]  # fmt: skip
    return "\n".join(lines) + "\n"


def config_keys(
    config: type[schema.Section], docs: dict[str, dict[str, str]], *, plain: set[str], of: str = "",
    level: str = "##",
) -> Iterator[str]:  # fmt: skip
    """Yield a table for each section of a config, then one of its other keys and those in `plain`."""
    top: list[str] = []
    for name, field in config.model_fields.items():
        section = section_of(field.annotation)
        if section is None or name in plain:
            top.append(key_row(name, field, docs[config.__name__].get(name, "")))
        else:
            yield from key_table(f"{level} `{name}`{of}", section, docs, prefix=f"{name}.")
    yield from (f"\n{level} Others{of}\n", *KEY_HEAD, *top)


def key_table(
    heading: str,
    section: type[schema.Section],
    docs: dict[str, dict[str, str]],
    *,
    prefix: str = "",
) -> Iterator[str]:
    """Yield a heading, what a section is for, and its keys."""
    yield from (f"\n{heading}\n", f"{one_line(inspect.getdoc(section) or '')}\n", *KEY_HEAD)
    yield from key_rows(prefix, section, docs)


def key_rows(
    prefix: str, section: type[schema.Section], docs: dict[str, dict[str, str]]
) -> Iterator[str]:
    for key, field in section.model_fields.items():
        yield key_row(f"{prefix}{key}", field, docs[section.__name__].get(key, ""))


def presets() -> Iterator[str]:
    """Yield the table of a training's presets."""
    known = recipe.PRESETS
    keys = [key for key in recipe.Recipe.model_fields if any(key in one for one in known.values())]
    yield from (
        "\n### Presets of a training\n",
        f"| key | {' | '.join(f'`{one}`' for one in known)} |",
    )
    yield f"| --- |{' --- |' * len(known)}"
    for key in keys:
        default = recipe.Recipe.model_fields[key].default
        cells = (f"`{plain_default(one.get(key, default))}`" for one in known.values())
        yield f"| `{key}` | {' | '.join(cells)} |"


def section_of(annotation: Any) -> type[schema.Section] | None:  # noqa: ANN401 - a type
    """Return the config section that an annotation names."""
    options = (annotation, *typing.get_args(annotation))
    found = (one for one in options if isinstance(one, type) and issubclass(one, schema.Section))
    return next(found, None)


def key_row(name: str, field: Any, text: str) -> str:  # noqa: ANN401 - pydantic's FieldInfo
    default = field.get_default(call_default_factory=True)
    shown = "required" if field.is_required() else f"`{plain_default(default)}`"
    return f"| `{name}` | {cell(type_text(field))} | {cell(shown)} | {cell(text)} |"


def plain_default(value: object) -> str:
    """Write a default as in YAML."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, tuple | list | frozenset):
        return f"[{', '.join(map(plain_default, value))}]"
    if isinstance(value, schema.Section):
        return "{}"
    if isinstance(value, dict):
        inner = (f"{key}: {plain_default(one)}" for key, one in value.items())
        return f"{{{', '.join(inner)}}}"
    return '""' if value == "" else str(value)


def type_text(field: Any) -> str:  # noqa: ANN401 - pydantic's FieldInfo
    """Write a type with its bounds, briefly."""
    bounds = [f"{sign} {value}" for one in field.metadata
              for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
              if (value := getattr(one, name, None)) is not None]  # fmt: skip
    return " ".join([plain_type(field.annotation), *bounds])


def plain_type(annotation: Any) -> str:  # noqa: ANN401 - a type
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is typing.Annotated:
        return plain_type(args[0])
    if origin is typing.Literal:
        return ", ".join(f"`{one}`" for one in args)
    if origin in {tuple, list}:
        return f"list of {plain_type(args[0])}"
    if origin is dict:
        return f"map to {plain_type(args[1])}"
    if args and origin is not None:
        return " or ".join(map(plain_type, args))
    if isinstance(annotation, type) and issubclass(annotation, load.Config):
        return "keys of a run"
    simple = {
        str: "text", int: "integer", float: "number", bool: "true or false", Any: "value",
    }  # fmt: skip
    return simple.get(annotation, getattr(annotation, "__name__", "value"))


def command_line() -> str:
    """Every verb with its arguments."""
    lines = ["# Command line\n", "`evolcoder VERB --help` prints the same.\n"]
    for verb, summary in VERBS.items():
        parser = argparse.ArgumentParser(add_help=False)
        importlib.import_module(f"evolcoder.cli.{verb}").add_arguments(parser)
        lines += [f"\n## evolcoder {verb}\n", f"{summary[0].upper()}{summary[1:]}.\n",
                  "| argument | |", "| --- | --- |"]  # fmt: skip
        lines += [
            f"| {cell(argument_text(one))} | {cell(help_text(one))} |"
            for one in parser._actions
            if one.help != argparse.SUPPRESS
        ]
    return "\n".join(lines) + "\n"


def argument_text(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    if not action.option_strings or action.nargs == 0:
        return f"`{names}`"
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    shown = " ".join(value) if isinstance(value, tuple) else value
    return f"`{names} {shown}`"


def help_text(action: argparse.Action) -> str:
    text = one_line(action.help or "")
    return text.replace("%%", "%").replace("%(default)s", str(action.default))


def drops() -> str:
    """Every reason of a drop."""
    from evolcoder import records  # noqa: PLC0415 - next to its use

    docs = docs_of_classes(records)["Reason"]
    lines = ["# Reasons of drops\n", "Why a record left, as stored, and shown by `run`, `inspect --drops` and `report`.\n",
             "| reason | |", "| --- | --- |"]  # fmt: skip
    lines += [f"| `{records.Reason[name].value}` | {cell(text)} |" for name, text in docs.items()]
    return "\n".join(lines) + "\n"


def schemas() -> str:
    """The records of the API, and the tables of the databases."""
    from evolcoder import records  # noqa: PLC0415

    docs = docs_of_classes(records)
    lines = [
        "# Records and databases\n",
        "Records are immutable dataclasses; ids are content hashes.\n",
    ]
    for name in ("Task", "Response", "CheckResult", "Drop", "Usage", "Row"):
        about = one_line((inspect.getdoc(getattr(records, name)) or "").split("\n\n")[0])
        lines += [f"\n## {name}\n", f"{about}\n", "| field | |", "| --- | --- |"]
        fields = getattr(records, name).__dataclass_fields__
        lines += [f"| `{key}` | {cell(docs[name].get(key, ''))} |" for key in fields]
    for title, module in STORES.items():
        lines += [
            f"\n## {title}\n",
            "| table | columns |",
            "| --- | --- |",
            *tables(module.MIGRATIONS),
        ]
    return "\n".join(lines) + "\n"


def tables(migrations: Sequence[str]) -> Iterator[str]:
    """List the tables that migrations make, with their columns."""
    database = sqlite3.connect(":memory:")
    for script in migrations:
        database.executescript(script)
    names = database.execute(
        "SELECT name FROM sqlite_master WHERE type='table' ORDER BY name"
    ).fetchall()
    for (name,) in names:
        columns = database.execute(f"SELECT name FROM pragma_table_info('{name}')").fetchall()
        yield f"| `{name}` | {', '.join(f'`{one}`' for (one,) in columns)} |"


def api() -> str:
    """The public names with their signatures and docstrings."""
    lines = ["# Python API\n", "`import evolcoder as ec`; [API](../api.md) shows how the verbs are used. ",
             "Each verb `NAME` has a twin `NAME_async`.\n"]  # fmt: skip
    for name in evolcoder.__all__:
        if name.removesuffix("_async") != name and name.removesuffix("_async") in evolcoder.__all__:
            continue
        value = getattr(evolcoder, name)
        lines += [f"\n## {name}\n", *signature(name, value), f"{docs_markdown(value)}\n"]
    return "\n".join(lines) + "\n"


def signature(name: str, value: object) -> Iterator[str]:
    """Write the header of a function as in its source."""
    if inspect.isclass(value):
        return
    module = sys.modules[value.__module__]
    wanted = {name, f"{name}_async"}
    for node in tree_of(module).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in wanted:
            parts = [ast.unparse(part) for part in split_arguments(node.args)]
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            yield "```python"
            yield f"{name}(\n    " + ",\n    ".join(parts) + f",\n){returns}"
            yield "```\n"
            return


def split_arguments(arguments: ast.arguments) -> Iterator[ast.AST]:
    """Yield each argument as a node of its own."""
    defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + arguments.defaults
    for one, default in zip(arguments.args, defaults, strict=True):
        yield single(one, default)
    if arguments.kwonlyargs:
        yield ast.Name("*")
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield single(one, default)


def single(argument: ast.arg, default: ast.expr | None) -> ast.arguments:
    given = [] if default is None else [default]
    return ast.arguments([], [argument], None, [], [], None, given)


def docs_markdown(value: object) -> str:
    """Return a docstring with examples as code."""
    lines, in_code = [], False
    for line in (inspect.getdoc(value) or "").splitlines():
        is_code = line.startswith((">>>", "...")) or (in_code and line.strip() != "")
        if is_code != in_code:
            lines.append("```pycon" if is_code else "```")
        in_code = is_code
        lines.append(re.sub(r"\s+# doctest: \+SKIP", "", line))
    return "\n".join([*lines, *(["```"] if in_code else [])])


def notebook() -> str:
    """The example notebook as a page; its cells in order."""
    path = OUT.parents[1] / "examples" / "notebook.ipynb"
    lines = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        lines.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(lines) + "\n\n" + NOTEBOOK_NOTE


NOTEBOOK_NOTE = (
    "The notebook is [`examples/notebook.ipynb`](../../examples/notebook.ipynb); the tests run it "
    "from its first cell to its last. [From Python](../api.md) describes the functions.\n"
)
PAGES = {
    "configuration.md": configuration,
    "cli.md": command_line,
    "drops.md": drops,
    "records.md": schemas,
    "api.md": api,
    "../tutorials/notebook.md": notebook,
}


def main() -> int:
    """Write the pages, or compare them with the files."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, make in PAGES.items():
        text, path = NOTE + make(), (OUT / name).resolve()
        path.parent.mkdir(exist_ok=True)
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path.relative_to(OUT.parents[1])))
    if stale:
        print(f"not what the code says: {', '.join(stale)}; run: make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
