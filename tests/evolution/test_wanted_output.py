"""What a task asks for is read from its wording."""

import pytest

from evolcoder.evolution.wanted_output import WantedOutput, wanted_output


@pytest.mark.parametrize(
    ("task", "wanted"),
    [
        ("Write a function that adds", WantedOutput.CODE),
        ("please create a SQL query", WantedOutput.CODE),
        ("Explain the use of classes in Python", WantedOutput.WORDS),
        ("What is a class?", WantedOutput.WORDS),
        ("How does a hash map work?", WantedOutput.WORDS),
        ("How can I delete a key?", WantedOutput.EITHER),
        ("Sort these numbers: 3, 1", WantedOutput.EITHER),
        ("¿Qué diferencia hay entre un proceso y un hilo?", WantedOutput.WORDS),
        ("スタックとキューの違いを説明してください。", WantedOutput.WORDS),
        ("얕은 복사와 깊은 복사의 차이를 설명해 주세요.", WantedOutput.WORDS),
        ("列表和元组有什么区别？", WantedOutput.WORDS),
        ("Qual è la differenza tra lista e tupla?", WantedOutput.WORDS),
        ("Quelle est la différence entre une pile et une file ?", WantedOutput.WORDS),
        ("ما الفرق بين القائمة والصف؟", WantedOutput.WORDS),
        ("二つの日付の違いを日数で返す関数を書いてください。", WantedOutput.EITHER),
        ("두 날짜의 차이를 구하는 함수를 작성하세요.", WantedOutput.EITHER),
    ],
)
def test_what_a_task_wants_is_read_from_its_opening(task, wanted):
    """Code, an explanation, or either; in Japanese and Korean from its end."""
    assert wanted_output(task) is wanted
