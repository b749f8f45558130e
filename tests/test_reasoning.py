"""Thinking is split from the answer in every notation, wherever it stands."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolcoder.reasoning import NAMES, Parts, split
from groups import sampled

FENCED = "```python\ndef f(x):\n    return x\n```"
INDENTED = "    return x\n    # end"
PAIRS = {
    **{name: (f"<{name}>", f"</{name}>") for name in NAMES},
    "upper case": ("<THINK>", "</THINK>"),
    "mixed case": ("<Think>", "</think>"),
    "Mistral": ("[THINK]", "[/THINK]"),
    "Mistral, lower case": ("[think]", "[/think]"),
    "Kimi": ("◁think▷", "◁/think▷"),
    "Kimi K3": ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    "begin_of_thought": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "Cohere": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "start_think": ("<|start_think|>", "<|end_think|>"),
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "Gemma": ("<|channel>thought\n", "<channel|>"),
    "MedGemma": ("<unused94>thought\n", "<unused95>"),
    "MiniCPM": ("<|thought_start|>", "<|thought_end|>"),
    "CWM": ("<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"),
    "openPangu": ("[unused16]", "[unused17]"),
    "working out": ("<start_working_out>", "<end_working_out>"),
    "K2 V2": ("<think_fast>", "</think_fast>"),
    "attributes": ('<think duration="3" done=true>', "</think>"),
    "blanks": ("< think >", "</ think >"),
    "entities": ("&lt;think&gt;", "&lt;/think&gt;"),
}
"""Notations that are a pair of tags."""
HARMONY = "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"
STRIPPED = "analysis", "assistantfinal"
ALL = {**PAIRS, "harmony": HARMONY, "harmony without markers": STRIPPED}
THOUGHT = "Okay: maybe so. Don't panic."


@pytest.mark.parametrize("notation", ALL)
def test_thinking_before_the_answer(notation):
    """The answer is exact: blank lines before it go, its indentation and its end stay."""
    start, end = ALL[notation]
    for answer in (FENCED, INDENTED, "Four.", " x", "\treturn x"):
        for gap in ("", "\n", "\n\n", "\n \n"):
            text = f"{start}{THOUGHT}{end}{gap}{answer}"
            assert split(text) == Parts(THOUGHT, answer), text


@pytest.mark.parametrize("notation", ALL)
def test_thinking_that_the_prompt_opened(notation):
    """A closing tag alone ends it, unless the server has split off thinking already."""
    _, end = ALL[notation]
    text = f"{THOUGHT}{end}\n{FENCED}"
    assert split(text) == Parts(THOUGHT, FENCED)
    if notation in PAIRS:
        assert split(text, opened=False) == Parts("", text)


BEGINNINGS = {
    "Solar": ("<|think|>", "<|end|><|begin|>assistant<|content|>"),
    "Solar, with its turn": (
        "<|begin|>assistant<|think|>",
        "<|end|>\n<|begin|>assistant<|content|>",
    ),
    "HyperCLOVA": ("/think\n", "<|im_end|>\n<|im_start|>assistant\n"),
    "HyperCLOVA, with its turn": (
        "<|im_start|>assistant/think\n",
        "<|im_end|>\n<|im_start|>assistant\n",
    ),
    "summary": ("<details>\n<summary>Thought for 3 seconds</summary>\n", "</details>\n"),
    "open summary": ("<details open><summary>Reasoning</summary>", "</details>\n\n"),
}
"""Notations of thinking with which a text begins, and after which another turn or part follows."""


@pytest.mark.parametrize("notation", BEGINNINGS)
def test_thinking_with_which_a_text_begins(notation):
    """A fence in it is a draft; the answer keeps its first indent."""
    start, end = BEGINNINGS[notation]
    for answer in (FENCED, INDENTED):
        thought = f"{THOUGHT}\n{FENCED}"
        assert split(f"{start}{thought}\n{end}{answer}") == Parts(thought, answer)


@pytest.mark.parametrize(
    "text",
    [
        "<Analysis data={x} />\n<p>one</p>",
        "<details>\n<summary>Usage</summary>\nRun it.\n</details>\nDone.",
        "/thinking is a path",
        "x = a[unused16]",
        "a < think and think > b",
    ],
)
def test_what_only_looks_like_thinking_is_text(text):
    """Components, other details, paths and comparisons stay."""
    assert split(text) == Parts("", text)


@pytest.mark.parametrize("notation", ALL)
def test_thinking_that_never_ends(notation):
    """An answer that was cut while thinking has no answer."""
    start, _ = ALL[notation]
    assert split(f"{start}Okay, maybe so.") == Parts("Okay, maybe so.", "")


@pytest.mark.parametrize("notation", PAIRS)
def test_several_blocks(notation):
    """All blocks are thinking, and the pieces between them are the answer."""
    start, end = PAIRS[notation]
    text = f"{start}a{end}First.{start}b{end} Second.\n{start}c{end}"
    assert split(text) == Parts("a\n\nb\n\nc", "First. Second.\n")
    assert split(f"{start}a{end}First.\n{start}cut") == Parts("a\n\ncut", "First.\n")
    assert split(f"{start}{start}a{end}b").answer == "b"
    assert split(f"{start}{end}{FENCED}") == Parts("", FENCED)


@pytest.mark.parametrize("notation", PAIRS)
def test_a_program_that_was_thought_over_is_a_draft(notation):
    """It belongs to the thinking if another program follows, and only then."""
    start, end = PAIRS[notation]
    text = f"{start}a{end}\n```\nx = 1\n```\n{start}No.{end}\n{FENCED}"
    assert split(text) == Parts("a\n\n```\nx = 1\n```\n\nNo.", FENCED)
    assert split(f"{FENCED}\n{start}Right?{end}\nDone.").answer == f"{FENCED}\n\nDone."
    assert split(f"{FENCED}\n{start}\n{end}\n{FENCED}").answer.count("def f") == 2


QUOTED = {
    "fence": "Use it:\n```xml\n{start}a{end}\n```\nDone.",
    "tilde fence": "~~~\n{start}\n~~~",
    "longer fence": "````\n```\n{start}a{end}\n```\n````",
    "open fence": "Code:\n```\n{start}a{end}\nb",
    "indented fence": "- so:\n  ```\n  {start}a{end}\n  ```",
    "inline code": "Write `{start}` before and `{end}` after.",
    "double back quotes": "Write ``{start}`x`{end}`` so.",
    "double quotes": 's = "{start}a" + "b{end}"',
    "single quotes": "s = '{start}a' + 'b{end}'",
    "escaped quotes": 's = "\\"{start}a{end}\\""',
    "curly quotes": "Say “{start}a{end}” twice.",
    "docstring": 'def f():\n    """Find\n    {start}a{end}\n    """',
}


@pytest.mark.parametrize("notation", PAIRS)
def test_a_quoted_tag_is_text(notation):
    """In an answer; and the thinking before such an answer is still split off."""
    start, end = (tag.strip() for tag in PAIRS[notation])
    for place, quoted in QUOTED.items():
        text = quoted.format(start=start, end=end)
        assert split(text) == Parts("", text), place
        assert split(f"<think>hm</think>\n{text}") == Parts("hm", text), place


@pytest.mark.parametrize("notation", PAIRS)
def test_a_quoted_closing_tag_does_not_end_thinking(notation):
    """Thinking about the tag goes on."""
    start, end = PAIRS[notation]
    thought = f"I must close with `{end.strip()}`, or '{end.strip()}'."
    assert split(f"{start}{thought}{end}b") == Parts(thought, "b")


@pytest.mark.parametrize("notation", ALL)
def test_an_open_fence_in_the_thinking_does_not_hide_its_end(notation):
    """A closing tag that only seems quoted is better than none; so is one behind a fence."""
    start, end = ALL[notation]
    assert split(f"{start}Try\n```python\nx = 1\n{end}\n{FENCED}").answer == FENCED
    assert split(f"{start}Try\n{FENCED}{end}{FENCED}").answer == FENCED
    assert split(f'{start}The "x{end}say "y"').answer == 'say "y"'


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<|channel|>analysis<|message|>a<|end|>", "a", ""),
        ("analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "a", "b"),
        ("<|message|>b<|return|>", "", "b"),
        ("assistant<|channel|>final<|message|>b<|end|>", "", "b"),
        ("<|channel|>final <|constrain|>json<|message|>{}<|return|>", "", "{}"),
        (("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=f "
         "<|constrain|>json<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>b"),
         "a\n\n{}", "b"),
        ("<|CHANNEL|>Analysis<|MESSAGE|>a<|END|><|START|>assistant<|CHANNEL|>FINAL<|MESSAGE|>b",
         "a", "b"),
        ((f"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>{FENCED}"
         "<|return|>"), "a", FENCED),
        ("analysisWe need f.assistantcommentaryto=x {}assistantfinalb", ("We need f."
         "assistantcommentaryto=x {}"), "b"),
        ("ANALYSISa.assistantfinalb", "a.", "b"),
        (("<|begin_of_thought|>a<|end_of_thought|>\n\n<|begin_of_solution|>\n    b\n"
         "<|end_of_solution|>"), "a", "    b\n"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "a", "b"),
        (f"Here is my thought process:\n\na\n\nHere is my response:\n\n{INDENTED}", "a", INDENTED),
        (f"\nHere's my thought process: a\nHere's my response: {FENCED}", "a", FENCED),
        (f"Thinking...\na\n...done thinking.\n\n{INDENTED}", "a", INDENTED),
        ((f'<details type="reasoning" done="true" duration="9">\n<summary>Thought for 9 s</summary>\n'
          f"> a\n</details>\n{FENCED}"), "> a", FENCED),
        ("Steps.\n[BEGIN FINAL RESPONSE]\nb\n[END FINAL RESPONSE]", "Steps.", "b\n"),
        ("<think>a</think>\n<answer>\n    b\n</answer>", "a", "    b"),
        ("<think>a <think>b</think> c</think>d", "a <think>b\n\nc", "d"),
    ],
)  # fmt: skip
def test_forms_of_one_notation(text, reasoning, answer):
    """Channels with parts missing, markers of the answer, tags within tags."""
    assert split(text) == Parts(reasoning, answer)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", FENCED, "analysis of algorithms", "Analysis: it sorts.", "analysis\n\nIt sorts.",
        "An x <think> y", "List<Thought> xs; Vec<Thinking>", "x[think]", "[think](http://a)",
        "queue.assistantFinalText(x)", "messageassistantfinal", "<answer>b</answer>", "b<|end|>",
        "Here is my thought process: sort it.", "So. Here is my response: x", "I think > you", "a <reasoning engine> b", "<thinker>a</thinker>", "The final channel.",
        "Thinking... it sorts.", "Thinking...\nIt sorts.", "<details>\na\n</details>\nb", "<unused9>",
    ],
)  # fmt: skip
def test_what_holds_no_thinking_is_unchanged(text):
    """Words that look like tags, and markers that other models use."""
    assert split(text) == Parts("", text)


def test_a_tag_within_a_line_needs_its_closing_tag():
    """Before one that begins a line, it is text."""
    assert split("The <think> tag.\n<think>a</think>b") == Parts("a", "The <think> tag.\nb")
    assert split("Sure. <think>a</think>b") == Parts("a", "Sure. b")


PIECES = [
    *(tag for pair in ALL.values() for tag in pair), "```", "~~~", "`", '"', "'", '"""', "\n",
    "    ", "\\", "x", "<|return|>", "<|start|>", "<answer>", "</answer>", "<|message|>",
]  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join))
def test_any_text_is_split(text):
    """Nothing is invented: thinking is parts of the text, and the answer the rest in its order."""
    reasoning, answer = split(text)
    assert all(part in text for part in reasoning.split("\n\n"))
    rest = iter(text)
    assert all(character in rest for character in answer)


@settings(deadline=None)
@given(st.text("abc `'\"\n", max_size=30), st.integers(0, 8), st.sampled_from([FENCED, "return x"]))
def test_whatever_was_thought_the_answer_is_found(thought, indent, code):
    """Quotes in the thinking do not matter, and every indentation of the answer stays."""
    answer = " " * indent + code
    assert split(f"<think>{thought}</think>\n{answer}").answer == answer


N = 30_000
HOSTILE = {
    "openings": "<think>" * N,
    "closings": "</think>" * N,
    "quoted closings": "<think>`</think>`" * N,
    "within a line": "x <think> " * N,
    "within a line, then at its beginning": ("x <think> " * 100 + "\n<think>") * (N // 100),
    "open fences": "<think>```\n</think>\n" * N,
    "growing fences": "".join("`" * (n % 400) + "\n<think></think>" for n in range(N // 20)),
    "escapes": "<think>" + '\\"' * N + "</think>",
    "double quotes": ('"' * 7 + "<think>") * N,
    "single quotes": "'a <think>" * N,
    "docstrings": '"""<think>\n' * N,
    "headers": "<|channel|>analysis<|message|>" * N,
    "half headers": "<|start|>a" * N + "<|channel|>" * N,
    "finals": "analysis" + "assistantfinal" * N,
    "channels within a text": "x " + "assistantanalysis " * N + "assistantfinal",
    "finals within an answer": "<think>a</think>b " + "assistantfinal " * N,
    "closings after blanks": " " * N + "x" + "</think>" * N,
    "all notations": "".join(start for start, _ in ALL.values()) * (N // 10),
    "sentences": "Here is my thought process:" * N,
    "lines of Ollama": "Thinking...\n" * N,
    "details": '<details type="reasoning"><summary>' * N,
    "blanks": " " * 10 * N + "<think>a",
    "lines": "\n" * 10 * N + "<think>a",
    "wrappers": "<think></think>" + "<answer>" * N,
}


@pytest.mark.parametrize("name", sampled(HOSTILE, 3))
def test_the_time_is_linear(name):
    """Hundreds of thousands of characters take seconds at most; squared, they would take hours."""
    begun = time.process_time()
    split(HOSTILE[name])
    assert time.process_time() - begun < 8


PROGRAM = "```python\ndef f(): return 1\n```"
CSS = (
    "index.html:\n```html\n<p>x</p>\n```\n<think>Now the CSS.</think>\nstyle.css:\n```css\np{}\n```"
)
SHAPES = {
    # text: what is thought, what is answered
    f"Draft:\n```python\ndef f(): pass\n\nOk.\n</think>\n\n{PROGRAM}": (
        "Draft:\n```python\ndef f(): pass\n\nOk.", PROGRAM
    ),
    f'We write """ first.\n</think>\n\n{PROGRAM}': ('We write """ first.', PROGRAM),
    "<think>a</think>\n</think>\n\nHello": ("a", "Hello"),
    CSS: ("Now the CSS.", CSS.replace("<think>Now the CSS.</think>", "")),
    "- ```xml\n  <think>a</think>\n  ```\nb": ("", "- ```xml\n  <think>a</think>\n  ```\nb"),
    "1. ```xml\n<think>a</think>\n```\nb": ("", "1. ```xml\n<think>a</think>\n```\nb"),
    "analysisResult = compute()\nprint(analysisResult)": (
        "", "analysisResult = compute()\nprint(analysisResult)"
    ),
    "analysisWe need a loop.assistantfinalHere.": ("We need a loop.", "Here."),
    "<think>x</think><answer>a</answer>\n<answer>b</answer>": (
        "x", "<answer>a</answer>\n<answer>b</answer>"
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", SHAPES)
def test_thinking_and_programs_in_uncommon_shapes_are_told_apart(text):
    """Open fences in thinking, tags in lists, second files, names that begin like a channel."""
    assert tuple(split(text)) == SHAPES[text]


def test_a_closing_tag_that_a_server_left_in_the_answer_is_removed():
    """Also where the server split the thinking off."""
    assert split("\n</think>\n\nHello", opened=False).answer == "Hello"
