"""Rows in the shapes that public data sets, training tools, servers and annotation tools have.

The fields are those of their cards and documentation; all texts are our own.
"""

import json

import pytest

from evolcoder.seeds.formats import BLANK, UNKNOWN, read_detected, why_unread

TASK, ANSWER, BAD, CODE = (
    "Sort the list.",
    "Call `sorted`.",
    "No idea.",
    "def f(x):\n    return sorted(x)",
)
THOUGHT = "It is a list, so sort it."
CALLS = '[{"name": "f", "arguments": {"n": 1}}]'
USER = {"role": "user", "content": TASK}
SAID = {"role": "assistant", "content": ANSWER}
CHAT = [USER, SAID]
PYTHON = f"```python\n{CODE}\n```"
SHAPES = {
    # a column that names where a row is from is no task
    "source": ({"source": "apps", "prompt": TASK, "llm_response": ANSWER}, TASK, ANSWER),
    "source alone": ({"source": "apps", "question": None, "answer": ANSWER}, "", ""),
    "source of a list": ({"prompt": f"\n\nHuman: {TASK}\n\nAssistant: ", "source": ["x y"], "answers": [
        {"answer": BAD, "rank": 2.0}, {"answer": ANSWER, "rank": 1.0}]}, TASK, ANSWER),
    "kind of task": ({"task": "Coding", "query": TASK, "answer": ANSWER}, TASK, ANSWER),
    "task": ({"task": TASK, "answer": ANSWER}, TASK, ANSWER),
    "source and target": ({"source": TASK, "target": ANSWER}, TASK, ANSWER),
    # several answers
    "inputs and outputs of tests": ({"question": TASK, "inputs": '["1"]', "outputs": '["2"]'}, TASK, ""),
    "inputs and outputs": ({"inputs": TASK, "outputs": [ANSWER]}, TASK, ANSWER),
    "scores as texts": ({"instruction": TASK, "generations": [BAD, ANSWER], "ratings": ["1", "5"]},
        TASK, ANSWER),
    "responses of one line": ({"instruction": TASK, "output": [f"{ANSWER} {'It is short. ' * 4}".strip(), f"{BAD} " * 6]},
        TASK, f"{ANSWER} {'It is short. ' * 4}".strip()),
    "a missing score": ({"instruction": TASK, "generations": [BAD, ANSWER], "ratings": [None, 2]}, TASK,
        ANSWER),
    "a missing rank": ({"question": TASK, "answers": [{"text": BAD, "rank": None}, {"text": ANSWER,
        "rank": 3}]}, TASK, ANSWER),
    "scores in objects": ({"instruction": TASK, "responses": [{"model": "a", "response": BAD}, {"model": "b",
        "response": ANSWER}], "annotations": [{"rating": "2"}, {"rating": "4"}]}, TASK, ANSWER),
    "accepted": ({"input": TASK, "accepted": ANSWER, "rejected": BAD, "ID": 1}, TASK, ANSWER),
    "the second is better": ({"domain": "code", "context": [USER], "response1": BAD, "response2": ANSWER,
        "overall_preference": 2}, TASK, ANSWER),
    "the first is better": ({"context": [USER], "response1": ANSWER, "response2": BAD,
        "overall_preference": -1}, TASK, ANSWER),
    "the better by its index": ({"prompt": TASK, "response_0": BAD, "response_1": ANSWER,
        "better_response_id": 1, "safer_response_id": 0}, TASK, ANSWER),
    "the better by its number": ({"instruction": TASK, "input": "1", "output_1": BAD, "output_2": ANSWER,
        "preference": 2}, f"{TASK}\n\n1", ANSWER),
    "the better by the name of its field": ({"prompt": TASK, "response_a": BAD, "response_b": ANSWER,
        "preferred": "response_b"}, TASK, ANSWER),
    "the better by its letter": ({"prompt": TASK, "response_a": BAD, "response_b": ANSWER,
        "preference": "B"}, TASK, ANSWER),
    "the better by an index that is a number": ({"prompt": TASK, "response_0": BAD, "response_1": ANSWER,
        "preference": 1.0}, TASK, ANSWER),
    "an unknown better one": ({"prompt": TASK, "response_0": BAD, "response_1": ANSWER,
        "better_response_id": float("nan")}, TASK, ""),
    "two answers about a context": ({"prompt": TASK, "context": "1 2", "response_a": ANSWER, "response_b": BAD,
        "winner": "a"}, TASK, ANSWER),
    "a request next to the whole chat": ({"request": {"messages": [USER]}, "messages": CHAT}, TASK, ANSWER),
    "whole answer and its code": ({"question": "q?", "r1_generation": ANSWER, "solution": CODE}, "q?",
        ANSWER),
    "a solution with its answer": ({"question": TASK, "solution": f"First. So {ANSWER}", "answer": ANSWER},
        TASK, f"First. So {ANSWER}"),
    "an answer and a solution": ({"question": TASK, "solution": CODE, "answer": ANSWER}, TASK, ANSWER),
    "starter code": ({"problem": TASK, "starter_code": "x = 1", "solution": ANSWER},
        f"{TASK}\n\n```python\nx = 1\n```", ANSWER),
    "starter code of an instruction": ({"instruction": TASK, "starter_code": "x = 1", "output": ANSWER},
        f"{TASK}\n\n```python\nx = 1\n```", ANSWER),
    "starter code in the task": ({"prompt": f"{TASK} x = 1", "starter_code": "x = 1", "response": ANSWER},
        f"{TASK} x = 1", ANSWER),
    "a reference": ({"prompt": TASK, "gold_standard_solution": ANSWER}, TASK, ANSWER),
    # the input of a prompt
    "prompt and input": ({"prompt": TASK, "input": "1 2", "output": ANSWER}, f"{TASK}\n\n1 2", ANSWER),
    "prompt and context": ({"prompt": TASK, "context": "1 2", "completion": ANSWER}, f"{TASK}\n\n1 2",
        ANSWER),
    "prompt with its input": ({"prompt": f"{TASK} 1 2", "input": "1 2", "output": ANSWER}, f"{TASK} 1 2",
        ANSWER),
    "a statement in parts": ({"description": TASK, "input_format": "n", "output_format": "m",
        "answer": ANSWER}, f"{TASK}\n\nInput:\nn\n\nOutput:\nm", ANSWER),
    # other names
    "names with a language": ({"instruction_zh": TASK, "input_zh": "1", "output_zh": ANSWER},
        f"{TASK}\n\n1", ANSWER),
    "input and content": ({"input": TASK, "reasoning_content": THOUGHT, "content": ANSWER}, TASK, ANSWER),
    "text_input": ({"text_input": TASK, "output": ANSWER}, TASK, ANSWER),
    "a contest": ({"question_content": TASK, "starter_code": "", "platform": "x"}, TASK, ""),
    "an issue": ({"problem_statement": TASK, "text": "x", "patch": "-1\n+2", "test_patch": "d"}, TASK,
        "```diff\n-1\n+2\n```"),
    "a docstring": ({"docstring": TASK, "code": CODE}, TASK, PYTHON),
    # edits
    "a commit": ({"old_contents": "x = 1\n", "new_contents": "x = 2\n", "subject": "Set x to 2", "message":
        "Set x to 2\n\nMore.", "lang": "Python"}, "Set x to 2\n\n```python\nx = 1\n```",
        "```python\nx = 2\n```"),
    "a new file": ({"old_contents": "", "new_contents": "x", "subject": TASK, "lang": "Common Lisp"}, TASK,
        "```common-lisp\nx\n```"),
    "an edit": ({"before": "x = 1", "after": "```", "instruction_descriptive": TASK},
        f"{TASK}\n\n```\nx = 1\n```", "````\n```\n````"),
    "an edit with a response": ({"instruction": TASK, "before": "1", "after": "2", "output": ANSWER}, TASK,
        ANSWER),
    "code without a task": ({"buggy": "x", "fixed": "y"}, "", ""),
    # turns
    "columns of turns": ({"messages": {"role": ["user", "assistant"], "content": [TASK, ANSWER]}}, TASK,
        ANSWER),
    "columns of ShareGPT": ({"conversations": {"from": ["human", "gpt"], "value": [TASK, ANSWER]}}, TASK,
        ANSWER),
    "a preferred chat in columns": ({"prompt": TASK, "chosen": {"role": ["user", "assistant"], "content": [
        TASK, ANSWER]}}, TASK, ANSWER),
    "a completion in columns": ({"prompt": {"role": ["user"], "content": [TASK]}, "completion": {"role": [
        "assistant"], "content": [ANSWER]}}, TASK, ANSWER),
    "turns in JSON each": ({"messages": [json.dumps(USER), json.dumps(SAID)]}, TASK, ANSWER),
    "texts that are JSON": ({"conversation": ['{"a": 1}', "x"]}, '{"a": 1}', "x"),
    "turns as numpy prints them": ({"messages": f"[{USER!r}\n {SAID!r}]"}, TASK, ANSWER),
    "turns as an array": ({"messages": f"array([{USER!r},\n       {SAID!r}], dtype=object)"}, TASK, ANSWER),
    "weight 0": ({"messages": [USER, {**SAID, "weight": 0}, USER, SAID]}, TASK, ""),
    "weight 1": ({"messages": [USER, {**SAID, "weight": 1}]}, TASK, ANSWER),
    "not trained": ({"messages": [USER, {**SAID, "training": False}, USER, SAID]}, TASK, ""),
    "a prompt that is not trained": ({"messages": [{**USER, "train": False}, SAID]}, TASK, ANSWER),
    "segments": ({"segments": [{"label": False, "text": f"<s>Q {TASK}\n"}, {"label": True, "text": ANSWER},
        {"label": False, "text": "more"}]}, f"Q {TASK}", ANSWER),
    "segments of a template": ({"segments": [{"label": False, "text": f"<s>[INST] {TASK} [/INST]"},
        {"label": True, "text": f" {ANSWER}</s>"}]}, TASK, ANSWER),
    # tasks of contests, benchmarks and databases
    "a contest's description": ({"title": "x", "description": TASK, "official_tests": ["1"]}, TASK, ""),
    "a description of something": ({"title": "x", "description": TASK}, "", ""),
    "submissions": ({"description": TASK, "test_cases": ["1"], "correct_submissions": [{"code": CODE,
        "language": 2}]}, TASK, PYTHON),
    "code above a solution": ({"prompt": "import random", "completion": CODE, "problem_description": TASK},
        TASK, PYTHON),
    "arguments of a program": ({"code": CODE, "input": "[1], 'a'", "output": "[1]"}, "", ""),
    "a task with its code": ({"code": CODE, "input": TASK, "output": ANSWER}, TASK, ANSWER),
    "a definition": ({"definition": TASK, "inputs": "1 2", "targets": ANSWER}, f"{TASK}\n\n1 2", ANSWER),
    "a title": ({"title": TASK, "body": "More.", "answers": [{"body": ANSWER, "score": 1}]},
        f"{TASK}\n\nMore.", ANSWER),
    "a repair": ({"description": TASK, "wrong_code": "x", "correct_code": "y"}, f"{TASK}\n\n```\nx\n```",
        "```\ny\n```"),
    "SQL": ({"question": TASK, "query": "SELECT a FROM t", "db_id": "d"}, TASK,
        "```sql\nSELECT a FROM t\n```"),
    "SQL with a schema": ({"sql_prompt": TASK, "sql_context": "CREATE TABLE t (a INT)", "sql": "SELECT 1"},
        f"{TASK}\n\nCREATE TABLE t (a INT)", "```sql\nSELECT 1\n```"),
    "a query in words": ({"question": TASK, "query": "Select the best of them."}, TASK, ""),
    "headings without colons": ({"prompt": f"### Instruction\n{TASK}\n\n### Response\n", "response": ANSWER},
        TASK, ANSWER),
    # other names of chats
    "a trajectory and its kind": ({"task": "Coding", "trajectory": [{"from": "user", "value": TASK}],
        "chosen": ANSWER, "rejected": BAD}, TASK, ANSWER),
    "a demonstration": ({"instruction": TASK, "demonstration": ANSWER}, TASK, ANSWER),
    "a body with its title": ({"title": "How?", "question_body": TASK, "answer_body": ANSWER},
        f"How?\n\n{TASK}", ANSWER),
    "developer and final": ({"developer": "S", "user": TASK, "analysis": THOUGHT, "final": ANSWER}, TASK,
        ANSWER),
    "rounds": ({"chat_rounds": [{"role": "human", "content": TASK}, {"role": "bot", "content": ANSWER}]},
        TASK, ANSWER),
    "a command": ({"nl": TASK, "cmd": "ls"}, TASK, "ls"),
    "chats that are preferred": ({"chosen_messages": CHAT, "rejected_messages": CHAT}, TASK, ANSWER),
    "a loss of weight 0": ({"messages": [USER, {**SAID, "loss_weight": 0.0}]}, TASK, ""),
    "a loss of weight 1": ({"messages": [{**USER, "loss_weight": 0.0}, {**SAID, "loss_weight": 1.0}]}, TASK,
        ANSWER),
    "a docstring and its solution": ({"docstring": TASK, "buggy_program": "x", "solution": CODE}, TASK, CODE),
    "sender and text": ({"chat_messages": [{"sender": "human", "text": TASK}, {"sender": "assistant", "text":
        ANSWER}]}, TASK, ANSWER),
    "a trajectory": ({"trajectory": [{"role": "user", "text": TASK}, {"role": "ai", "text": ANSWER}]}, TASK,
        ANSWER),
    "turns of several questions": ({"id": "x", "question": [[USER]]}, TASK, ""),
    "a reply next to turns": ({"messages": [USER], "response": {"choices": [{"message": SAID}]}}, TASK, ANSWER),
    "a reply next to a prompt": ({"prompt": TASK, "response": {"choices": [{"text": ANSWER}]}}, TASK, ANSWER),
    "a reply in the row": ({"request": {"messages": [USER]}, "choices": [{"message": SAID}]}, TASK, ANSWER),
    "bodies": ({"request_body": {"messages": [USER]}, "response_body": {"choices": [{"message": SAID}]}}, TASK,
        ANSWER),
    # requests and replies
    "a batch of OpenAI": ({"custom_id": "1", "url": "/v1", "body": {"messages": [USER]}}, TASK, ""),
    "a batch of Anthropic": ({"custom_id": "1", "params": {"system": "S", "messages": [USER]}}, TASK, ""),
    "a batch of Bedrock": ({"recordId": "1", "modelInput": {"messages": [USER]}, "modelOutput": {"role":
        "assistant", "content": [{"type": "text", "text": ANSWER}]}}, TASK, ANSWER),
    "a batch of Vertex": ({"request": {"contents": [{"role": "user", "parts": [{"text": TASK}]}]},
        "response": {"candidates": [{"content": {"role": "model", "parts": [{"text": ANSWER}]}}]}}, TASK,
        ANSWER),
    "a request with its answer": ({"body": {"messages": [USER]}, "response": {"status_code": 200, "body": {
        "choices": [{"message": SAID}]}}}, TASK, ANSWER),
    "a trace": ({"inputs": {"messages": [USER]}, "output": {"choices": [{"message": SAID}]}}, TASK, ANSWER),
    "a trace with texts": ({"inputs": {"question": TASK}, "outputs": {"answer": ANSWER}}, TASK, ANSWER),
    "a data set's item": ({"input": {"messages": [USER]}, "expectedOutput": ANSWER}, TASK, ANSWER),
    "a request as text": ({"request": json.dumps({"messages": [USER]}), "response": ANSWER}, TASK, ANSWER),
    "an input that is an object": ({"instruction": TASK, "input": {"text": "x"}, "output": ANSWER},
        f'{TASK}\n\n{{"text": "x"}}', ANSWER),
    # annotations
    "Label Studio": ({"data": {"prompt": TASK}, "annotations": [{"was_cancelled": True, "result": [{"type":
        "textarea", "value": {"text": [BAD]}}]}, {"result": [{"type": "choices", "value": {"choices": [BAD]}},
        {"type": "textarea", "value": {"text": [ANSWER]}}]}]}, TASK, ANSWER),
    "Argilla": ({"fields": {"instruction": TASK, "response": ANSWER}, "responses": {"quality": [{"value":
        "good", "user_id": "u"}]}}, TASK, ANSWER),
    "Argilla without a response": ({"fields": {"instruction": TASK}, "responses": {"response": [{"value":
        BAD, "status": "draft", "user_id": "u"}, {"value": ANSWER, "status": "submitted", "user_id": "u"}]}},
        TASK, ANSWER),
    "Argilla 1": ({"prompt": TASK, "corrected-response": [{"user_id": "u", "value": ANSWER, "status":
        "submitted"}], "rating": [{"user_id": "u", "value": 4, "status": "submitted"}]}, TASK, ANSWER),
    "a viewer": ({"row_idx": 1, "row": {"instruction": TASK, "output": ANSWER}, "truncated_cells": []}, TASK,
        ANSWER),
    "a cut cell": ({"row_idx": 1, "row": {"instruction": TASK, "output": ANSWER}, "truncated_cells":
        ["output"]}, TASK, ""),
    "a row in JSON": ({"json": json.dumps({"instruction": TASK, "output": ANSWER})}, TASK, ANSWER),
    # names in several cases
    "some capitals": ({"Instruction": TASK, "input": "1 2", "output": ANSWER}, f"{TASK}\n\n1 2", ANSWER),
    "capitals next to a text": ({"Question": TASK, "text": "row 1", "Answer": ANSWER}, TASK, ANSWER),
    # words for no input
    **{f"an input of {word}": ({"instruction": TASK, "input": word, "output": ANSWER}, TASK, ANSWER)
       for word in ("nan", "NaN", "None", "null")},
    "a context of nan": ({"question": TASK, "context": "nan", "answer": ANSWER}, TASK, ANSWER),
    # objects in place of a response
    "a response with its model": ({"prompt": TASK, "response": {"text": ANSWER, "model": "m", "usage": {"n": 1}}},
        TASK, ANSWER),
    "a preferred response with its score": ({"prompt": TASK, "chosen": {"response": ANSWER, "model": "m", "score": 5},
        "rejected": {"response": BAD}}, TASK, ANSWER),
    "an object that is data": ({"prompt": TASK, "response": {"text": ANSWER, "lines": 2}}, TASK,
        json.dumps({"text": ANSWER, "lines": 2})),
    "responses by model": ({"instruction": TASK, "responses": {"a": ANSWER, "b": BAD}}, TASK, ANSWER),
    "a preference of Vertex": ({"contents": [{"role": "user", "parts": [{"text": TASK}]}], "completions": [
        {"score": 0, "completion": {"role": "model", "parts": [{"text": BAD}]}},
        {"score": 1, "completion": {"role": "model", "parts": [{"text": ANSWER}]}}]}, TASK, ANSWER),
    # scores under any name
    **{f"the best by {name}": ({"prompt": TASK, "responses": [{"content": BAD, name: low}, {"content": ANSWER, name: high}]},
        TASK, ANSWER) for name, low, high in [("reward", -1.5, 2.0), ("votes", 1, 12), ("is_correct", False, True),
        ("passed", False, True), ("quality_score", "1", "2")]},
    **{f"not the worst by {name}": ({"prompt": TASK, "responses": [{"content": ANSWER, name: 0}, {"content": BAD, name: 3}]},
        TASK, ANSWER) for name in ("downvotes", "incorrect_tests", "dislikes", "toxicity_score")},
    "scores of a model": ({"prompt": TASK, "responses": [BAD, ANSWER], "reward_scores": [0.1, 0.9]}, TASK, ANSWER),
    "as many answers as words": ({"prompt": TASK, "responses": [ANSWER, BAD], "correct_names": ["a", "b"]}, TASK, ANSWER),
    # a title and its body
    "a title and a self text": ({"title": "How?", "selftext": TASK, "answers": {"text": [BAD, ANSWER], "score": [1, 2]}},
        f"How?\n\n{TASK}", ANSWER),
    "a title and Markdown": ({"title": "How?", "text_markdown": TASK, "answers": [{"text_markdown": BAD, "is_accepted": 0},
        {"text_markdown": ANSWER, "is_accepted": 1}]}, f"How?\n\n{TASK}", ANSWER),
    # evolved instructions
    "an evolved instruction": ({"instruction": "Write.", "evolved_instruction": TASK, "answer": ANSWER}, TASK, ANSWER),
    "evolved instructions": ({"instruction": "Write.", "evolved_instructions": ["Sort.", TASK], "answers": [BAD, ANSWER]},
        TASK, ANSWER),
    "evolved instructions without answers": ({"instruction": "Write.", "evolved_instructions": [TASK], "answers": []},
        TASK, ""),
    # pairs
    "expected": ({"input": TASK, "expected": ANSWER}, TASK, ANSWER),
    "an expected output": ({"input": TASK, "actual_output": BAD, "expected_output": ANSWER}, TASK, ANSWER),
    "the output of an example": ({"question": TASK, "input": "1", "expected_output": "2"}, TASK, ""),
    "a user's input": ({"user_input": TASK, "response": ANSWER, "reference": BAD}, TASK, ANSWER),
    # turns
    "turns that are objects": ({"prompt": USER, "completion": SAID}, TASK, ANSWER),
    "an input that is a turn": ({"input": USER, "output": SAID}, TASK, ANSWER),
    "turns by number": ({"messages": {"0": USER, "1": SAID}}, TASK, ANSWER),
    "turns by speaker": ({"conversation": [{"human": TASK}, {"assistant": ANSWER}]}, TASK, ANSWER),
    "pairs by speaker": ({"dialog": [{"user": TASK, "bot": ANSWER}]}, TASK, ANSWER),
    "a prompt and its model are no turns": ({"items": [{"prompt": TASK, "model": "m"}]}, "", ""),
    "utterances": ({"dialogue": [{"speaker": "USER", "utterance": TASK}, {"speaker": "BOT", "utterance": ANSWER}]},
        TASK, ANSWER),
    "turns in data": ({"messages": [{"type": "human", "data": {"content": TASK}}, {"type": "ai", "data": {"content":
        ANSWER}}]}, TASK, ANSWER),
    "speakers in the texts": ({"dialogue": [f"User: {TASK}", f"Bot: {ANSWER}"]}, TASK, ANSWER),
    "texts with colons": ({"dialogue": [f"Note: {TASK}", ANSWER]}, f"Note: {TASK}", ANSWER),
    "a token in place of a question": ({"internal": [["<|BEGIN|>", "Hello."], [TASK, ANSWER]]}, TASK, ANSWER),
    "an edited question": ({"current_node": "c", "mapping": {
        "a": {"parent": None, "message": {"author": {"role": "user"}, "content": {"parts": ["Forget it."]}}},
        "b": {"parent": None, "message": {"author": {"role": "user"}, "content": {"parts": [TASK]}}},
        "d": {"parent": "b", "message": {"author": {"role": "assistant"}, "content": {"parts": [BAD]}}},
        "c": {"parent": "b", "message": {"author": {"role": "assistant"}, "content": {"parts": [ANSWER]}}}}}, TASK, ANSWER),
    "a loop of replies": ({"current_node": "a", "mapping": {"a": {"parent": "a", "message": {"author": {"role": "user"},
        "content": {"parts": [TASK]}}}}}, TASK, ""),
    # templates
    **{name: ({"text": text.format(TASK, ANSWER)}, TASK, ANSWER) for name, text in {
        "Magicoder": "You are clever.\n\n@@ Instruction\n{}\n\n@@ Response\n{}",
        "OpenChat": "GPT4 Correct User: {}<|end_of_turn|>GPT4 Correct Assistant: {}<|end_of_turn|>",
        "Phi-4": "<|im_start|>user<|im_sep|>{}<|im_end|><|im_start|>assistant<|im_sep|>{}<|im_end|>",
        "Llama 4": "<|begin_of_text|><|header_start|>user<|header_end|>\n\n{}<|eot|><|header_start|>assistant"
                   "<|header_end|>\n\n{}<|eot|>",
        "Phi-2": "Instruct: {}\nOutput: {}",
        "ChatGLM": "[Round 1]\n\n问：{}\n\n答：{}",
        "Nemotron": "<extra_id_0>System\nS\n<extra_id_1>User\n{}\n<extra_id_1>Assistant\n{}\n<extra_id_1>",
        "H2O": "<|prompt|>{}</s><|answer|>{}</s>",
        "EXAONE": "[|user|]{}\n[|assistant|]{}[|endofturn|]",
        "DeepSeek-V2": "<｜begin▁of▁sentence｜>User: {}\n\nAssistant: {}<｜end▁of▁sentence｜>",
        "Kimi": "<|im_user|>user<|im_middle|>{}<|im_end|><|im_assistant|>assistant<|im_middle|>{}<|im_end|>",
        "Human and AI": "Human: {}\nAI: {}",
    }.items()},
    "a chat as a text": ({"messages": f"User: {TASK}\nAssistant: {ANSWER}"}, TASK, ANSWER),
    # the answer that the row picks
    **{f"the best by {name}": ({"prompt": TASK, "responses": [BAD, ANSWER], name: 1}, TASK, ANSWER)
       for name in ("best", "best_index", "chosen", "chosen_response")},
    "no number of an answer": ({"prompt": TASK, "responses": [ANSWER, BAD], "best": 7, "preferred": True}, TASK, ANSWER),
    "the accepted one by its id": ({"question": TASK, "accepted_answer_id": 7, "answers": [
        {"id": 5, "text": BAD, "score": 1}, {"id": 7, "text": ANSWER, "score": 0}]}, TASK, ANSWER),
    "scores of judges": ({"prompt": TASK, "responses": [{"response": BAD, "judge": {"score": 2}}, {"response": ANSWER,
        "judge": {"score": 9}}]}, TASK, ANSWER),
    "one that was not cut": ({"prompt": TASK, "outputs": [{"text": BAD, "finish_reason": "length"}, {"text": ANSWER,
        "finish_reason": "stop"}]}, TASK, ANSWER),
    # turns
    "a stored completion": ({"messages": [USER], "choices": [{"index": 0, "message": SAID}]}, TASK, ANSWER),
    "choices of a question": ({"question": TASK, "choices": ["1", "2"], "answer": "B"}, TASK, "B"),
    "a blank turn before the answer": ({"messages": [USER, {"role": "assistant", "content": ""}, SAID]}, TASK, ANSWER),
    "a context of turns": ({"context": [USER], "completions": [{"rank": 1, "completion": [{**SAID, "content": BAD}]},
        {"rank": 0, "completion": [SAID]}]}, TASK, ANSWER),
    "preferred conversations": ({"chosen_conversations": CHAT, "rejected_conversations": CHAT}, TASK, ANSWER),
    "capitalised turns": ({"Messages": [{"Role": "User", "Content": TASK}, {"Role": "Assistant", "Content": ANSWER}]},
        TASK, ANSWER),
    "a response that is a turn": ({"instruction": TASK, "response": {"role": "assistant", "content": ANSWER,
        "reasoning_content": THOUGHT}}, TASK, ANSWER),
    # lines in a list
    "indented lines": ({"instruction": TASK, "output": CODE.split("\n")}, TASK, CODE),
    "lines with their ends": ({"instruction": TASK, "output": ["import sys\n", "print(1)"]}, TASK, "import sys\nprint(1)"),
    "lines of code": ({"question": TASK, "code": CODE.splitlines(keepends=True)}, TASK, PYTHON),
    "programs of one line": ({"question": TASK, "solutions": ["print(1)\n", "print(2)\n"]}, TASK,
        "```python\nprint(1)\n```"),
    "a list that is data": ({"instruction": TASK, "output": ["a", "b c"]}, TASK, '["a", "b c"]'),
    "a response in two lists": ({"prompt": TASK, "response": [[f"{ANSWER} {'It is short. ' * 4}".strip()]]}, TASK,
        f"{ANSWER} {'It is short. ' * 4}".strip()),
    "a table in a response": ({"prompt": TASK, "response": [["1 2"]]}, TASK, '[["1 2"]]'),
    # several texts that numpy printed
    "texts of numpy": ({"question": TASK, "answers": "['first' 'second']"}, TASK, "first"),
    "texts of an array": ({"question": TASK, "answers": "array(['it\\'s 1',\n       'second'], dtype=object)"}, TASK,
        "it's 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_the_task_and_its_response_are_found(name):
    """Of the shapes of the cards; a task or response that is not there is empty."""
    row, task, answer = SHAPES[name]
    pair = read_detected(row)[1]
    assert (pair.instruction, pair.answer) == (task, answer)


COUNTED = [
    ({"question": TASK, "answer": ANSWER, name: value}, ("tests",))
    for name, value in [
        ("test", "def test(): ..."), ("test_list", ["assert f(1) == 1"]), ("unit_tests", '["assert 1"]'), ("testcase", ["assert 1"]), ("official_tests", [{"input": "1"}]),
        ("private_tests", {"input": ["1"], "output": ["2"]}), ("input_output", '{"inputs": ["1"]}'),
        ("verification_info", '{"test_cases": [1]}'), ("test_patch", "diff"),
        ("reward_model", {"style": "rule", "ground_truth": "1"}),
    ]
] + [
    ({"question": TASK, "answer": ANSWER, name: value}, ())
    for name, value in [
        ("tests", "[]"), ("test", ""), ("private_tests", {"input": [], "output": []}), ("test_list", None),
        ("input_output", "{}"), ("unit_tests", []),
    ]
] + [
    ({"question": TASK, "inputs": ["1"], "outputs": ["2"]}, ("tests",)),
    ({"question": TASK, "response": ANSWER, "code": CODE}, ("further answers",)),
    ({"question": TASK, "response": f"{ANSWER}\n{CODE}", "code": CODE}, ()),
    ({"messages": CHAT, "llm_response": f"<think>{THOUGHT}</think>{ANSWER}"}, ()),
    ({"messages": CHAT, "context": "You are Clippy."}, ("context",)),
    ({"messages": CHAT, "system": [{"text": "Be terse."}]}, ("system turns",)),
    ({"messages": [USER, {**SAID, "weight": 0}]}, ("answers that are not to be learnt",)),
    ({"context": [USER], "response1": BAD, "response2": ANSWER, "overall_preference": 1},
     ("rejected answers",)),
    ({"row": {"instruction": TASK, "output": ANSWER}, "truncated_cells": ["output"]},
     ("cells that a viewer cut",)),
    ({"fields": {"instruction": TASK, "response": ANSWER}, "responses": {"q": [{"value": "a", "user_id":
     "u"}]}}, ("annotations",)),
    ({"question": TASK, "choices": ["1", "2"], "answer": ANSWER}, ("choices",)),
    ({"question": TASK, "A": "1", "B": "2", "C": "3", "D": "4", "answer": ANSWER}, ("choices",)),
    ({"conversation": [{"system": "S", "input": TASK, "output": ANSWER}]}, ("system turns",)),
    ({"question": TASK, "responses": {"a": ANSWER, "b": BAD}}, ("further answers",)),
    ({"question": TASK, "answer": ANSWER, "finish_reason": "length"}, ("answers cut at their longest",)),
    ({"question": TASK, "answer": ANSWER, "finish_reason": "stop"}, ()),
    ({"prompt": TASK, "outputs": [{"text": ANSWER, "finish_reason": "length"}]}, ("answers cut at their longest",)),
    ({"request": {"messages": [USER]}, "response": {"choices": [{"message": SAID, "finish_reason": "length"}]}},
     ("answers cut at their longest",)),
    ({"request": {"messages": [USER]}, "response": {"choices": [{"message": SAID, "finish_reason": "stop"}]}}, ()),
    ({"prompt": TASK, "response": {"choices": [{"text": ANSWER, "finish_reason": "length"}]}},
     ("answers cut at their longest",)),
    ({"messages": CHAT, "rejected_message": SAID}, ("rejected answers",)),
    ({"question": TASK, "answer": ANSWER, "is_correct": False}, ("label",)),
    ({"question": TASK, "answer": ANSWER, "passed": "False"}, ("label",)),
    ({"question": TASK, "answer": ANSWER, "correct": 0}, ()),
    ({"question": TASK, "answer": ANSWER, "correct": True}, ()),
    ({"question": TASK, "answer": ANSWER, "feedback": "thumbs_down"}, ("label",)),
    ({"question": TASK, "answer": ANSWER, "feedback": "Not a bad one."}, ()),
    ({"question": TASK, "answer": ANSWER, "feedback": 0}, ()),
    *(({"question": TASK, "answer": ANSWER, "label": label}, ("label",))
      for label in (-1, "reject", "incorrect", "negative")),
]  # fmt: skip


@pytest.mark.parametrize(("row", "left_out"), COUNTED, ids=str)
def test_what_is_left_out_of_a_row_is_named(row, left_out):
    """Tests, further answers, contexts and annotations; empty columns are nothing."""
    assert read_detected(row)[1].left_out == left_out


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("<img>https://example.org/a.jpeg</img>What is it?", "needs an image"),
        ("Compare <img>a.png</img> and <img>b.png</img>.", "needs an image"),
        ("Picture 1: <audio>a.wav</audio> Who is it?", "needs an image"),
        ("Why is `<img>a.png</img>` wrong in HTML?", ""),
        ("Write HTML with <img src='a.png'> and <video><source></video>.", ""),
    ],
)
def test_an_image_by_its_address_needs_an_image(text, needs):
    """In the notation of Qwen-VL, unless the task is about such an element."""
    assert read_detected({"query": text, "response": ANSWER})[1].needs == needs


def test_a_call_in_the_notation_of_openhands_needs_tools():
    """Although no tools are declared."""
    call = "<function=execute_bash>\n<parameter=command>ls</parameter>\n</function>"
    row = {"messages": [USER, {"role": "assistant", "content": call}]}
    assert read_detected(row)[1].needs == "needs tools"


@pytest.mark.parametrize(
    "name", ["reasoning", "reasoning_content", "cot", "deepseek_reasoning", "Complex_CoT"]
)
@pytest.mark.parametrize(("value", "thoughts"), [(THOUGHT, THOUGHT), ("on", ""), (None, "")])
def test_thinking_in_a_column_is_kept_apart(name, value, thoughts):
    """A column with a switch, such as `reasoning: on`, holds no thinking."""
    keys = ("Question", "Response") if name == "Complex_CoT" else ("question", "response")
    pair = read_detected({keys[0]: TASK, name: value, keys[1]: ANSWER})[1]
    assert (pair.answer, pair.thoughts) == (ANSWER, thoughts)


@pytest.mark.parametrize("field", ["text", "value", "thinking", "content", "reasoning"])
def test_thinking_in_a_part_of_a_turn_is_kept_apart(field):
    """Whatever the part calls its text."""
    parts = [{"type": "reasoning", field: THOUGHT}, {"type": "text", "value": ANSWER}]
    pair = read_detected({"messages": [USER, {"role": "assistant", "content": parts}]})[1]
    assert (pair.answer, pair.thoughts) == (ANSWER, THOUGHT)


def test_thinking_of_the_response_goes_before_that_of_a_column():
    """Which may be that of another answer."""
    row = {
        "question": TASK,
        "reasoning": "Of a judge.",
        "answer": f"<think>{THOUGHT}</think>{ANSWER}",
    }
    assert read_detected(row)[1].thoughts == THOUGHT


@pytest.mark.parametrize(
    "row",
    [
        {"query": TASK, "answers": CALLS},
        {"messages": [USER, {"role": "assistant", "content": CALLS}]},
        {"instruction": TASK, "output": CALLS},
    ],
    ids=str,
)
def test_an_answer_that_is_a_call_in_json_needs_tools(row):
    """If the row declares tools; without them it is a text about such calls."""
    pair = read_detected({**row, "tools": '[{"name": "f"}]'})[1]
    assert (pair.needs, pair.answer) == ("needs tools", "")
    other = {**row, "tools": '[{"name": "f"}]', next(iter(row)): "Other."}
    assert pair.turns != read_detected(other)[1].turns
    assert read_detected(row)[1].needs == ""
    plain = {"query": TASK, "answers": '[{"name": "Ada", "age": 36}]', "tools": '[{"name": "f"}]'}
    assert read_detected(plain)[1].needs == ""


ODD = [
    None,
    "",
    " ",
    "[",
    "{",
    "x",
    0,
    3.5,
    float("nan"),
    float("inf"),
    True,
    b"x",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"a": None},
    [["a"]],
    "[{}]",
    "[null]",
    {"messages": 3},
    [{"role": 3}],
    {"role": []},
]
ODD += [{"role": ["user"], "content": [[]]}, {"choices": 3}, {"choices": [None]}, {"content": {}}]


@pytest.mark.parametrize("name", SHAPES)
def test_reading_never_fails(name):
    """Whatever stands in one of the fields."""
    row = SHAPES[name][0]
    for field in row:
        for value in ODD:
            pair = read_detected({**row, field: value})[1]
            assert isinstance(pair.instruction, str)
            assert isinstance(pair.answer, str)


def test_further_answers_are_compared():
    """A leak in an answer that is not read is found too."""
    pair = read_detected({"question": TASK, "response": ANSWER, "code": CODE})[1]
    assert CODE in pair.further


@pytest.mark.parametrize(
    "image", [{"bytes": None, "path": None}, [], [""], [{"bytes": None}], [None]]
)
def test_an_image_of_nulls_is_none(image):
    """As `datasets` writes a missing one."""
    pair = read_detected({"instruction": TASK, "output": ANSWER, "image": image})[1]
    assert (pair.answer, pair.needs) == (ANSWER, "")
    found = {"instruction": TASK, "output": ANSWER, "image": {"bytes": b"x", "path": None}}
    assert read_detected(found)[1].needs == "needs an image"


def test_a_text_that_a_tool_answers_is_a_call():
    """Whatever its notation."""
    call = {"from": "gpt", "value": "[f(n=1)]"}
    chat = [{"from": "human", "value": TASK}, call, {"from": "tool", "value": "1"}, call]
    assert read_detected({"conversations": chat})[1].needs == "needs tools"


def test_turns_with_a_text_under_another_key_are_not_blank():
    """A file with them stops, rather than that it is read without these rows."""
    turns = [{"role": "user", "words": "Sort the list."}]
    assert why_unread({"messages": turns}) == UNKNOWN
    assert why_unread({"messages": [{"role": "user", "content": "", "name": "ada"}]}) == BLANK


@pytest.mark.parametrize("reason", ["length", "max_tokens", "stop", None])
def test_a_response_that_was_cut_is_none(reason):
    """As a model's answer that reached its limit is dropped."""
    pair = read_detected({"question": TASK, "answer": ANSWER, "stop_reason": reason})[1]
    assert pair.answer == (ANSWER if reason in {"stop", None} else "")


@pytest.mark.parametrize("name", ["reasoning", "thinking_trajectories"])
def test_thinking_in_several_texts_is_kept_apart(name):
    """As one text."""
    pair = read_detected({"question": TASK, name: [THOUGHT, "Then call it."], "answer": ANSWER})[1]
    assert (pair.answer, pair.thoughts) == (ANSWER, f"{THOUGHT}\n\nThen call it.")


def test_thinking_of_a_response_that_is_a_turn_is_kept_apart():
    """As that of a turn in a chat."""
    said = {**SAID, "reasoning_content": THOUGHT}
    assert read_detected({"instruction": TASK, "response": said})[1].thoughts == THOUGHT
