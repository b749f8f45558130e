"""Packages import each other along declared edges, without a cycle."""

import ast
import re
from pathlib import Path

import evolcoder

ROOT = Path(evolcoder.__file__).parent
CHECKOUT = Path(__file__).parents[1]
ALLOWED = {
    "ids": "",
    "concurrency": "",
    "errors": "",
    "text": "",
    "visible": "text",
    "fences": "text",
    "markdown": "text",
    "credentials": "",
    "natural_language": "text fences",
    "programming_language": "text fences",
    "reasoning": "",
    "safe_codec": "",
    "safe_repr": "",
    "input_files": "errors text",
    "terminal": "text",
    "value_faults": "",
    "records": "ids",
    "sample_errors": "errors text safe_repr",
    "config": "ids errors credentials safe_repr input_files records value_faults",
    "storage": "errors text credentials input_files records config value_faults",
    "engine": "ids errors text credentials reasoning safe_repr input_files records config storage",
    "serving": "errors text storage",
    "sandbox": "errors safe_codec safe_repr",
    "code": "fences programming_language",
    "seeds": "ids errors text fences programming_language reasoning safe_repr input_files records config storage engine code",
    "bench": "ids errors text fences programming_language reasoning safe_repr input_files storage engine code",
    "evolution": "ids errors text fences natural_language programming_language reasoning records config engine",
    "grading": "ids errors text visible safe_codec safe_repr sample_errors storage sandbox code bench",
    "deduplication": "ids errors text fences programming_language records config storage engine seeds",
    "decontamination": "ids errors text visible safe_codec input_files records sample_errors engine sandbox code bench grading deduplication value_faults",
    "verification": "ids errors text fences programming_language safe_repr records sample_errors config storage engine sandbox code bench grading decontamination concurrency",
    "exports": "ids errors text fences visible markdown records sample_errors config storage sandbox code verification",
    "training": "ids errors text visible markdown input_files config storage engine seeds bench value_faults",
    "pipeline": "errors records sample_errors config storage engine evolution verification concurrency",
    "evaluation": "ids errors text credentials programming_language sample_errors storage engine sandbox bench grading concurrency",
    "cluster": "errors text config engine serving sandbox concurrency",
    "experiment": "ids errors visible markdown credentials input_files records config storage bench evolution value_faults",
    "app": "ids errors text visible credentials input_files terminal records sample_errors config storage engine serving sandbox seeds bench evolution grading deduplication decontamination verification exports training pipeline evaluation cluster experiment concurrency",
    "results": "errors records storage bench deduplication decontamination evaluation",
    "api": "ids errors records config storage engine sandbox seeds bench deduplication decontamination exports training evaluation app results",
    "api_objects": "errors config engine sandbox app",
    "report": "errors text visible credentials programming_language input_files terminal records config storage engine seeds bench decontamination verification evaluation experiment",
    "view": "ids errors text visible credentials programming_language records sample_errors storage bench evaluation report",
    "cli": "errors text visible credentials input_files terminal records config storage engine serving sandbox seeds bench evolution grading deduplication decontamination verification training evaluation experiment app report view",
    "__main__": "cli",
}
"""Package -> the packages and modules of the root that it may import."""
CHOSEN = (
    "engine.openai",
    "engine.llamacpp",
    "engine.transformers_engine",
    "engine.scripted",
    "sandbox.pool",
    "cluster.sandbox",
)
HEAVY = {
    "accelerate",
    "peft",
    "torch",
    "transformers",
    "trl",
    "vllm",
    "ray",
    "xllamacpp",
    "datasets",
    "pyarrow",
    "sentence_transformers",
    "matplotlib",
    "starlette",
    "tokenizers",
    "uvicorn",
}


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def package_of(name):
    return name.split(".")[0]


def imports_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module.startswith("evolcoder."):
                base = node.module.removeprefix("evolcoder.")
                for alias in node.names:
                    full = f"{base}.{alias.name}"
                    is_module = (ROOT / (full.replace(".", "/") + ".py")).exists()
                    yield full if is_module else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("evolcoder."):
                    yield alias.name.removeprefix("evolcoder.")


def edges():
    """Every import of one package by another: (package, imported package) -> a module that does."""
    found = {}
    for name, tree in modules():
        for target in imports_of(tree):
            edge = package_of(name), package_of(target)
            if edge[0] != edge[1]:
                found.setdefault(edge, f"{name} imports {target}")
    return found


def test_packages_import_what_they_may():
    """An edge that is not in the list is a decision about the architecture: add it there."""
    allowed = {(package, other) for package, names in ALLOWED.items() for other in names.split()}
    assert [why for edge, why in edges().items() if edge not in allowed] == []


def test_no_edge_is_allowed_that_is_not_needed():
    """The list says how the packages hang together, and no more."""
    allowed = {(package, other) for package, names in ALLOWED.items() for other in names.split()}
    assert sorted(allowed - edges().keys()) == []


def test_the_list_has_no_cycle():
    """Each package imports only what stands above it."""
    order = list(ALLOWED)
    for package, names in ALLOWED.items():
        assert all(order.index(other) < order.index(package) for other in names.split()), package


def layers():
    """Read the table of layers in docs/architecture.md: a list of packages for each row, in order."""
    text = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("\n## Layers\n")[2].partition("\n| --- |")[2]
    rows = [line.split("|") for line in table.split("\n\n")[0].splitlines()[1:]]
    return [re.findall(r"`(\w+)`", row[2]) for row in rows]


def test_the_documented_layers_hold_every_package_once():
    """A package that is added needs a layer."""
    assert sorted(package for layer in layers() for package in layer) == sorted(ALLOWED)


def test_no_package_imports_from_a_later_layer():
    """The order of the documented layers is that of the imports."""
    level = {package: n for n, layer in enumerate(layers()) for package in layer}
    assert [edge for edge in edges() if level[edge[1]] > level[edge[0]]] == []


def test_workflows_choose_no_implementation():
    """Which engine and which sandbox is used is decided by the application layer alone."""
    wrong = [
        f"{name} imports {target}"
        for name, tree in modules()
        if package_of(name) in {"pipeline", "evaluation", "experiment", "verification", "evolution"}
        for target in imports_of(tree)
        if target.startswith(CHOSEN)
    ]
    assert wrong == []


def test_no_script_imports_the_command_line():
    """Benchmarks and examples use the application layer, as the command line does."""
    wrong = []
    for folder in ("benchmarks", "examples"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            names = imports_of(ast.parse(path.read_text(encoding="utf-8")))
            wrong += [f"{path.name} imports {name}" for name in names if package_of(name) == "cli"]
    assert wrong == []


def test_heavy_packages_are_imported_late():
    """No module imports a heavy package at its top level."""
    wrong = []
    for name, tree in modules():
        for node in tree.body:
            tops = (
                [alias.name.split(".")[0] for alias in node.names]
                if isinstance(node, ast.Import)
                else [(node.module or "").split(".")[0]]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            wrong += [f"{name} imports {top}" for top in tops if top in HEAVY]
    assert wrong == []


def test_only_the_command_line_prints():
    """`print` stands in `cli` and in what shows progress alone."""
    wrong = [
        name
        for name, tree in modules()
        if package_of(name) != "cli" and name != "app.progress"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"print", "input"}
    ]
    assert wrong == []
