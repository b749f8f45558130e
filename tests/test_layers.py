"""Imports point down, and rooms never import each other."""

import ast
from pathlib import Path

import evolcoder

ROOT = Path(evolcoder.__file__).parent
WORDS, NOUNS, CONTRACTS, ROOMS, STORY, DOOR = range(6)
LAYER = {
    "errors": WORDS, "ids": WORDS, "text": WORDS,
    "safe_repr": WORDS, "guard": WORDS,
    "records": NOUNS, "knobs": NOUNS, "config": NOUNS,
    "wire": WORDS, "wheels": WORDS, "syntax": WORDS, "gauge": WORDS, "spans": WORDS,
    "db": CONTRACTS, "folder": CONTRACTS, "store": CONTRACTS, "engine.base": CONTRACTS, "sandbox.base": CONTRACTS, "sandbox.finding": CONTRACTS,
    "atomic": WORDS, "input_files": WORDS, "json_stream": WORDS, "bounded_yaml": WORDS, "sqlite_files": WORDS, "system_limits": WORDS,
    "pool": CONTRACTS, "funnel": CONTRACTS, "lineage": CONTRACTS,
    "bench.base": CONTRACTS, "bench.oracles": CONTRACTS, "bench.prompts": CONTRACTS, "bench.scores": CONTRACTS,
    "engine": ROOMS, "seeds": ROOMS, "evolve": ROOMS, "respond": ROOMS, "export": ROOMS,
    "bench": ROOMS, "sandbox": ROOMS, "grade": ROOMS,
    "verify": ROOMS, "clean": ROOMS,
    "train": ROOMS,
    "rounds": STORY, "cleaning": STORY, "evaluate": STORY, "leakage": STORY, "loop": STORY,
    "cli": DOOR,
}  # fmt: skip
CHOSEN = ("engine.openai", "engine.llamacpp", "engine.scripted", "sandbox.pool")
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
    "tokenizers",
}


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def place(name):
    """The longest prefix of a module's name that the table of layers knows."""
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:size])) in LAYER:
            return prefix
    raise AssertionError(f"{name} has no layer: add it to LAYER")


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


def test_imports_point_down():
    """A module imports lower layers only, or its own room."""
    wrong = []
    for name, tree in modules():
        mine = place(name)
        for target in imports_of(tree):
            theirs = place(target)
            down = LAYER[theirs] < LAYER[mine] or theirs == mine
            words_or_nouns = LAYER[theirs] == LAYER[mine] and LAYER[mine] < ROOMS
            if not (down or words_or_nouns):
                wrong.append(f"{name} imports {target}")
    assert wrong == []


def test_the_story_knows_no_engine():
    """Above the contracts nobody but the door chooses an implementation."""
    wrong = [
        f"{name} imports {target}"
        for name, tree in modules()
        if LAYER[place(name)] == STORY
        for target in imports_of(tree)
        if target.startswith(CHOSEN)
    ]
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


def test_only_the_door_prints():
    """`print` stands in cli/ alone."""
    wrong = [
        name
        for name, tree in modules()
        if LAYER[place(name)] != DOOR
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"print", "input"}
    ]
    assert wrong == []
