"""The style `rewrite` asks for whole tasks, which the same rules and the same parsing judge."""

import asyncio

import pytest

from evolcoder.config.load import EvolveConfig, preset_values, validate
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.evolution.evolver import evolve
from evolcoder.evolution.heuristics import BUILT_IN, ExampleForm
from evolcoder.evolution.prompts import WHOLE_TASK_HINTS, build
from evolcoder.evolution.rewriting import REWRITING, split_distractor
from evolcoder.evolution.styles import (
    Style,
    UsableShare,
    heuristics_of,
    size_in_name,
    style_by_shares,
    style_for,
)
from evolcoder.evolution.translations import FRAMES
from evolcoder.programming_language import named_language
from evolcoder.records import Reason, Task
from evolcoder.verification.distractor import find_distractor

BY_NAME = {heuristic.name: heuristic for heuristic in REWRITING}
SORT = "Write a Python function that sorts a list of numbers."
HARDER = "Write a Python function that sorts a list of numbers by magnitude, skips infinite ones, and keeps ties in order."
CODE = "def total(rows):\n    s = 0\n    for r in rows:\n        s += r\n    return s"
REPAIR = f"Fix this Python function, which is slow.\n```python\n{CODE}\n```"
FIX = "Fix this Python function, which is slow and fails for rows of text that hold no number:"
UNNAMED = "Fix the bug of this total, which is slow and fails for rows of text that hold no number:"
INDENTED = "\n".join(f"    {line}" for line in CODE.splitlines())
CUT, MOVED = CODE.replace("    s = 0\n", ""), CODE.replace("        s", "    s")
LONG = "```python\ndef f(x):\n    x = list(x)\n    x.sort(key=abs)\n    return x\n```"
QUERY, TABLE = (
    "Write a SQL query",
    "CREATE TABLE t (id int);\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);",
)
DRAFT = "```python\ndef sort_numbers(x):\n    return sorted(x)\n```"


def rewritten(answer, parent=SORT, *, heuristic="constrain"):
    """Evolve with one answer; return the child's text, or the reason of the drop."""
    task = Task.seed(parent, ordinal=0, language=named_language(parent))
    told = Role(ScriptedEngine(lambda _: answer), "toy", Sampling(1.0, 0.9, 500))
    config = validate({"evolve": {"style": "rewrite", "candidates": 1}}, where="test")
    made = asyncio.run(
        evolve(task, round=1, heuristic=BY_NAME[heuristic], evolver=told, judge=None, config=config)
    )
    return made.instruction if isinstance(made, Task) else made.reason


@pytest.mark.parametrize(
    ("answer", "parent", "heuristic", "wanted"),
    [
        (HARDER, SORT, "constrain", HARDER),
        (f"Sure! Here is the task:\n\n{HARDER}\n\nSolution:\nUse sorted.", SORT, "constrain", HARDER),
        (SORT, SORT, "constrain", Reason.EQUAL_TO_PARENT),
        ("Sort the tricky numbers stably.", SORT, "constrain", Reason.SHORTENED),
        (f"This is a harder version of the task, more challenging. {HARDER}", SORT, "constrain", Reason.PROMPT_COPIED),
        (f"{HARDER} It is a more challenging one.", SORT, "constrain", Reason.PROMPT_COPIED),
        (f"{SORT} Keep all that it asks for, its data and its code, and add a limit.", SORT, "deepen", Reason.PROMPT_COPIED),
        ("To sort the numbers in Python, you can use sorted() with a key and a stable order.", SORT, "constrain", Reason.NOT_A_TASK),
        (f"{HARDER}\n\n{LONG}", SORT, "constrain", Reason.SOLVED),
        (f"{HARDER} Write fewer sentences, and repeat the data.", SORT, "constrain", Reason.PROMPT_COPIED),
        (f"{SORT[:-1]} by comparing elements with neighbours and swapping them.", SORT, "constrain", Reason.SOLVED),
        (HARDER.replace("Python", "JavaScript"), SORT, "constrain", Reason.WRONG_LANGUAGE),
        (f"{HARDER} It must run in O(n log n) time.", SORT, "complexity", f"{HARDER} It must run in O(n log n) time."),
        (HARDER, SORT, "complexity", Reason.NO_BOUND),
        (HARDER, SORT, "misdirect", Reason.NO_BAIT),
        # The code of the task stays whole, whatever is asked for around it.
        (f"{FIX}\n```python\n{CODE}\n```", REPAIR, "constrain", f"{FIX}\n```python\n{CODE}\n```"),
        (f"{UNNAMED}\n```\n{CODE}\n```", f"{UNNAMED[:25]}.\n```python\n{CODE}\n```", "constrain", f"{UNNAMED}\n```\n{CODE}\n```"),
        (f"{FIX}\n\n{INDENTED}", REPAIR, "constrain", f"{FIX}\n\n{INDENTED}"),
        (f"{FIX}\n```python\n{CUT}\n```", REPAIR, "constrain", Reason.MISSING_INPUT),
        (f"{FIX}\n```python\n{MOVED}\n```", REPAIR, "constrain", Reason.MISSING_INPUT),
        (FIX, REPAIR, "constrain", f"{FIX}\n```python\n{CODE}\n```"),
        (f"{SORT[:-1]}, stably, and by magnitude without infinite ones.", f"{SORT}\n[3, 1]", "constrain", f"{SORT[:-1]}, stably, and by magnitude without infinite ones.\n[3, 1]"),
        (f"{SORT[:-1]} such as [3, 9], stably, by magnitude.", f"{SORT}\n[3, 1]", "constrain", f"{SORT[:-1]} such as [3, 9], stably, by magnitude."),
        (f"{QUERY} that lists the ids of t without duplicates, largest first.", f"{QUERY}.\n{TABLE}", "constrain", f"{QUERY} that lists the ids of t without duplicates, largest first.\n\n{TABLE}"),
        (f"{FIX}\nAnd nested ones.", REPAIR, "deepen", f"{FIX}\nAnd nested ones.\n\n```python\n{CODE}\n```"),
    ],
)  # fmt: skip
def test_rules_judge_the_whole_rewritten_task(answer, parent, heuristic, wanted):
    """A child, or the reason of its drop."""
    assert rewritten(answer, parent, heuristic=heuristic) == wanted


@pytest.mark.parametrize(
    "answer",
    [
        f"{HARDER}\n\nSomebody began like this:\n{DRAFT}",
        f"{HARDER}\n{DRAFT}",
        f"{HARDER} Somebody began like this:\n{DRAFT}\nThe order of ties must not change.",
    ],
)
def test_a_distractor_ends_the_rewritten_task(answer):
    """Our sentence introduces it in place of its own; what follows it goes before it."""
    text = rewritten(answer, heuristic="misdirect")
    assert find_distractor(text).code == "def sort_numbers(x):\n    return sorted(x)"
    assert text.count("```") == 2
    assert sum(frame in text for frame in FRAMES) == 1
    assert "Somebody began" not in text
    assert ("ties must not" in text) == ("ties must not" in answer)


def test_a_distractor_leaves_the_code_of_the_task_in_place():
    """The last foreign block is the distractor; the parent's stays between its sentences."""
    kept = f"{FIX}\n```python\n{CODE}\n```\nRows may be nested."
    text = rewritten(f"{kept}\n\nA draft:\n{DRAFT}", REPAIR, heuristic="misdirect")
    assert text.startswith(f"{kept}\n\n")
    assert text.endswith(DRAFT)


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("编写一个函数，对列表排序。须稳定。下面是草稿：", "编写一个函数，对列表排序。须稳定。"),
        ("सूची क्रमबद्ध करें। एक मसौदा:", "सूची क्रमबद्ध करें।"),
        ("Sort the numbers stably, beginning with this draft:",) * 2,
    ],
)
def test_the_announcement_of_a_distractor_takes_no_other_sentence_along(before, kept):
    """Sentences end as their script ends them, and one that says all stays."""
    assert split_distractor(f"{before}\n{DRAFT}", SORT).prose == kept.rstrip(":")


def test_a_distractor_is_no_demand():
    """The same task with code and its announcement asks for nothing more."""
    answer = f"{SORT}\n\nSomebody has begun like this, with a draft:\n{DRAFT}"
    assert rewritten(answer, heuristic="misdirect") is Reason.EQUAL_TO_PARENT


def test_both_styles_have_the_same_heuristics():
    """Names, weights, contents and applicability; only the rewriting ones ask for whole tasks."""

    def kept(heuristics):
        return [(h.name, h.weight, h.holds, h.suits, h.origin) for h in heuristics]

    assert kept(REWRITING) == kept(BUILT_IN)
    assert {h.form for h in REWRITING} == {ExampleForm.TASK}
    for heuristic in REWRITING:
        hinted = build(heuristic, "Sort.", Reason.NO_BAIT, "rewrite")[-1].content
        assert hinted.endswith(WHOLE_TASK_HINTS[Reason.NO_BAIT])
        assert len(heuristic.examples) >= 2


def test_examples_of_a_config_keep_the_form_that_they_were_written_for():
    """Under `auto` they are sentences; a template of the config is the same in both styles."""
    own = {"examples": ({"task": "Sort.", "answer": "Keep ties."},)}

    def form(style, **more):
        config = EvolveConfig(style=style, heuristics={"constrain": {**own, **more}})
        return next(h.form for h in heuristics_of(config, Style.REWRITE) if h.name == "constrain")

    assert (form("auto"), form("rewrite")) == (ExampleForm.ADDITION, ExampleForm.TASK)
    assert form("auto", answer="task") is ExampleForm.TASK
    assert form("rewrite", answer="addition") is ExampleForm.ADDITION
    mine = EvolveConfig(heuristics={"constrain": {"template": "Add to: {task}"}}, only_these=True)
    assert heuristics_of(mine, Style.APPEND) == heuristics_of(mine, Style.REWRITE)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen/Qwen2.5-Coder-7B-Instruct", 7), ("deepseek-coder-6.7b-instruct", 6.7), ("llama3.1:8b", 8),
        ("mixtral-8x7b", 56), ("Qwen3-30B-A3B", 30), ("gemma-3n-E4B-it", 4), ("SmolLM2-360M", 0.36),
        ("qwen2.5-7b-instruct-1m", 7), ("llama-2-7b.Q4_K_M.gguf", 7), ("starcoder2_15b", 15),
        ("qwen2.5-coder:1.5b-instruct-q4_K_M", 1.5), ("gpt-oss-20b", 20), ("x-4bit", None),
        ("phi-3-mini-4k", None), ("my-model", None), ("gpt-4o-mini", None), ("70b-draft-0.5b", None),
    ],
)  # fmt: skip
def test_a_size_is_read_from_a_name(name, billions):
    """As vendors write it; neither bits, nor context, nor active parameters are one."""
    assert size_in_name(name) == billions


def test_what_is_known_of_a_model_chooses_its_style():
    """By size from 7B as names go, by the names of APIs, and by shares where neither is known."""
    chosen = [
        style_for("a-6.7b", hosted=False), style_for("a-3b", hosted=True), style_for("gpt-4o-mini", hosted=True),
        style_for("claude-haiku", hosted=True), style_for("a-70b", billions=1.5, hosted=True),
    ]  # fmt: skip
    assert [c.style.value for c in chosen] == ["rewrite", "append", "rewrite", "rewrite", "append"]
    assert (
        style_for("gpt-4o-mini", hosted=False) is None
    )  # a server of one's own answers to any name
    assert style_for("mine", hosted=True) is None
    shares = [((9, 8), (10, 9)), ((10, 9), (10, 8)), ((10, 8), (10, 8)), ((8, 4), (4, 3))]
    styles = [style_by_shares(UsableShare(*a), UsableShare(*r)).style.value for a, r in shares]
    assert styles == ["rewrite", "append", "rewrite", "rewrite"]


def test_the_preset_has_the_papers_methods_one_template_and_its_sampling():
    """Five heuristics whose prompts differ in one line; keys of the config win over the preset."""
    config = validate({"preset": "wizardcoder", "evolver": {"temperature": 0.5}}, where="test")
    found = heuristics_of(config.evolve)
    assert [h.name for h in found] == [h.name for h in BUILT_IN]
    assert {(h.weight, h.form, h.examples) for h in found} == {(1.0, ExampleForm.TASK, ())}
    lines = [h.template.splitlines() for h in found]
    assert [len(set(column)) for column in zip(*lines, strict=True)] == [1, 1, 1, 5, 1, 1]
    assert (config.evolver.temperature, config.evolver.top_p, config.evolver.max_tokens) == (
        0.5,
        0.9,
        2048,
    )
    assert (config.responder.temperature, config.responder.max_tokens) == (1.0, 2048)
    assert validate(config.model_dump(mode="json"), where="again") == config
    assert preset_values("wizardcoder").keys() == {"evolver", "responder", "evolve"}
