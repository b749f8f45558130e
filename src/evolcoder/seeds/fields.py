"""Names of the fields of published rows, by what they hold. No I/O.

>>> "canonical_solution" in PROGRAMS
True
"""

from evolcoder.reasoning import THINKING_FIELDS

ANSWERS = (
    "output", "response", "completion", "answer", "r1_generation", "solution", "chosen",
    "canonical_solution", "reference_code", "solutions", "answers", "outputs", "responses", "code",
    "target", "targets", "ideal", "generation", "reply", "llm_response", "model_response",
    "model_answer", "generated_solution", "deepseek_solution", "generations", "completions",
    "inferences", "gold_standard_solution", "ground_truth_solution", "reference_solution",
    "correct_submissions", "demonstration",
)  # fmt: skip
"""Fields with a response, in order of precedence."""
PROGRAMS = frozenset(
    {"canonical_solution", "reference_code", "solutions", "code", "correct_submissions"}
)
"""Those of them that hold a program without a fence."""
PLURALS = ("solutions", "answers", "outputs", "responses", "generations", "completions",
           "inferences", "correct_submissions")  # fmt: skip
"""Those of them that hold several responses, in a list or in a text that is one in JSON."""
TASKS = ("question", "query", "description", "inputs", "input")
"""Fields with an instruction in `question-answer`, in order of precedence."""
INPUTS = ("input", "context")
"""Fields with the input of an instruction."""
NO_INPUT = frozenset({"noinput", "no input", "n/a", "not applicable", "nan", "none", "null"})
"""Values of `input` in published files that mean none; any case, optionally in <>."""
CHATS = (
    "conversation", "contents", "chat", "dialogue", "dialog", "items", "turns", "mapping",
    "internal", "data", "chat_messages", "chat_rounds", "trajectory",
)  # fmt: skip
"""Fields with a chat, in addition to `messages` and `conversations`."""
SYSTEMS = ("system", "system_prompt", "system_message", "systemInstruction", "system_instruction")
TOOLS = ("tools", "functions", "available_tools")
MEDIA = ("images", "image", "videos", "video", "audios", "audio")
LABELS = ("label", "kto_tag", "desirable")
"""Fields that say whether a response is good."""
BAD = frozenset(
    """false 0 0.0 -1 -1.0 no bad undesirable reject rejected incorrect wrong negative fail
    failed thumbs_down""".split()
)
"""Values of a label that say that it is not."""
JUDGED = ("is_correct", "correct", "is_passed", "passed", "feedback")
BAD_WORDS = frozenset(one for one in BAD if one.strip("-.01"))
"""Fields that say so only by these words, since a number in them may be another thing."""
ENDS, CUT_ENDS = ("finish_reason", "stop_reason"), frozenset({"length", "max_tokens"})
"""Fields with the reason why a model's response ended, and reasons that cut it."""
CHOICES = (("choices",), ("options",), ("A", "B", "C", "D"))
"""Fields with the choices of a question that has some."""
THOUGHTS = (
    *THINKING_FIELDS, "thought", "thoughts", "think", "cot", "complex_cot", "chain_of_thought",
    "deepseek_reasoning", "r1_reasoning", "model_reasoning", "reasoning_trace",
    "thinking_trajectory", "thinking_trajectories", "analysis",
)  # fmt: skip
"""Fields with the thinking of a row's response; some hold a switch, such as `on`."""
TESTS = (
    "test", "tests", "test_code", "test_cases", "testcases", "testcase", "test_list", "unit_tests",
    "unit_test", "official_tests",
    "public_tests", "private_tests", "generated_tests", "public_test_cases", "private_test_cases",
    "challenge_test_list", "test_patch", "input_output", "verification_info", "reward_model",
)  # fmt: skip
"""Fields with tests of a response, or with what a verifier of reinforcement learning takes."""
PREFIXES = ("declaration", "code_prompt", "complete_prompt", "prompt")
"""Fields with the code that a benchmark's solution continues."""
STATEMENT_PARTS = (
    ("input_format", "Input"), ("output_format", "Output"), ("interaction_format", "Interaction"),
)  # fmt: skip
"""Fields with parts of a contest's statement, with their headings."""
CUT, ANNOTATED = "(cut cells)", "(annotations)"
"""Fields that `logs` adds to a row whose cells a viewer cut, or whose annotations are not read."""
