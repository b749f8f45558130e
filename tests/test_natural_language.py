"""Texts are told apart by script and by common words, and never in doubt."""

import unicodedata

import pytest

from evolcoder.natural_language import (
    changed_language,
    is_likely_foreign,
    join_sentences,
    natural_language,
    prompt_language,
)

TASKS = {
    "en": "Write a function that returns the largest number of a list.",
    "zh": "编写一个 Python 函数，返回数字列表中的最大值。",
    "ja": "リストの最大値を返すPython関数を書いてください。",
    "ko": "숫자 목록에서 최댓값을 반환하는 함수를 작성하세요.",
    "ru": "Напишите на Python функцию, которая возвращает наибольшее число списка.",
    "uk": "Напишіть функцію на Python, яка повертає найбільше число зі списку та не змінює його.",
    "ar": "اكتب دالة تعيد أكبر عدد في القائمة",
    "he": "כתוב פונקציה שמחזירה את המקסימום של רשימה",
    "hi": "एक फ़ंक्शन लिखें जो सूची में सबसे बड़ी संख्या लौटाए।",
    "th": "เขียนฟังก์ชัน Python ที่คืนค่าสูงสุดของรายการ",
    "el": "Γράψε μια συνάρτηση Python που επιστρέφει το μέγιστο",
    "es": "Escribe una función que devuelva el mayor número de una lista.",
    "fr": "Écris une fonction qui renvoie le plus grand nombre d'une liste.",
    "de": "Schreibe eine Funktion, die die größte Zahl einer Liste zurückgibt.",
}
"""One task in several languages."""


def test_each_language_is_recognised_and_differs_from_every_other():
    """By script where it has one of its own, otherwise by its common words."""
    assert {code: natural_language(text).code for code, text in TASKS.items()} == {
        code: code for code in TASKS
    }
    for code, text in TASKS.items():
        for other, translated in TASKS.items():
            assert bool(changed_language(text, translated)) == (code != other), (code, other)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (TASKS["zh"], "使用 pandas 的 DataFrame.groupby，并跳过 NaN。"),
        (TASKS["ru"], "Используйте `heapq.nlargest` и верните tuple (max_value, index)."),
        (TASKS["ja"], "空の場合は ValueError を返す。"),
        (TASKS["en"], "Let α, β and λ be the weights of θ."),
        (TASKS["en"], 'Also accept "привет, мир" and «добрый день» as greetings.'),
        (TASKS["en"], "Also translate the result into Russian, so that yes becomes да and no нет."),
        (TASKS["en"], "O(n) time."),
        (TASKS["es"], "También ignora None."),
        ("Sort.", "Skip NaN."),
        (TASKS["en"], "Sort ñandú, übergroß and œuvre as their plain letters."),
    ],
)
def test_names_quotations_and_symbols_are_no_other_language(before, after):
    """Nor is anything too short to tell."""
    assert changed_language(before, after) == ""


def test_a_slip_into_another_script_is_found_within_a_text_in_the_right_one():
    """Small models fall into Chinese in the middle of a sentence."""
    assert changed_language(
        TASKS["en"], "Return the list sorted by length 并且返回结果 for each word."
    )
    assert changed_language(TASKS["ru"], "Пропускайте пустые строки 并且返回结果列表 и числа.")
    assert changed_language(TASKS["ja"], "还必须跳过所有不是数字的元素，并在列表为空时抛出异常。")


def test_a_prompt_takes_the_likeliest_language():
    """A short text of a script that several languages have is in the most usual one."""
    assert prompt_language("Отсортируй быстро") == "ru"
    assert prompt_language("Fix it") == ""


def test_short_words_and_letters_that_other_languages_have_do_not_make_a_text_theirs():
    """`a` and `do` are words of Czech, and `y` of Spanish; a few words are no evidence."""
    for text in ("Implement a stack in C++", "Do a quicksort", "Add two numbers x and y"):
        assert prompt_language(text) in {"", "en"}, text
    for addition in ("Add a flag, a cache, a timeout.", "Plot y, then y + 1: y > 1."):
        assert changed_language(TASKS["en"], addition) == ""
    assert prompt_language("Crea una classe Stack in Java") == "it"
    assert prompt_language("Utwórz klasę Stack w Javie") == "pl"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("es", "Ordena la lista de productos por precio.\nproductos = [{'n': 'a', 'p': 3}]"),
        ("es", "Explica cómo funciona quicksort"),
        ("pt", "Calcule o fatorial de n"),
        ("it", "Ordina la lista in ordine crescente"),
        ("de", "Erkläre, wie Quicksort funktioniert"),
        ("fr", "Calcule la factorielle de n"),
        ("pl", "Oblicz silnię n"),
        ("fr", "Fusionne deux listes triées en une seule liste triée, en Python."),
        ("fr", "Corrige le code ci-dessous."),
        ("pt", "Complete a função abaixo."),
        ("pt", "O código abaixo deveria imprimir de 1 a 10, mas para no 9. Corrija o erro."),
        ("es", "Suma dos números."),
        ("it", "Mostra i numeri pari fino a 100."),
        ("it", "Crea una pagina HTML con un modulo di contatto."),
        ("de", "Addiere zwei Zahlen."),
        ("ru", "Сложи два числа."),
        ("ja", "二分探索を実装"),
        ("ja", "Reactのcomponentでuser listをrenderするcodeを書いてください。"),
        ("ja", "ＣＳＶを１００行読む"),
        ("ko", "Python list에서 max 값을 return하는 function을 작성해줘"),
        ("pt", unicodedata.normalize("NFD", "Corrija o código abaixo.")),
        ("ko", unicodedata.normalize("NFD", "이진 탐색을 구현하세요.")),
    ],
)
def test_the_verb_of_a_short_task_tells_its_language(code, text):
    """A task is mostly a request, and short ones have few other common words."""
    assert prompt_language(text) == code


def test_a_name_in_code_ends_where_a_script_without_blanks_goes_on():
    """Nothing separates it from the text of the language."""
    assert prompt_language("Pythonのdefaultdictで単語を数えるcount_words関数を書く") == "ja"
    assert changed_language(TASKS["zh"], "Python的my_func函数须跳过所有空值并且返回结果。") == ""


@pytest.mark.parametrize(
    ("before", "addition", "joined"),
    [
        ("Do it", "Now.", "Do it. Now."),
        ("编写一个函数", "跳过空值。", "编写一个函数。跳过空值。"),
        ("书写函数 f(x)。", "跳过空值。", "书写函数 f(x)。跳过空值。"),
        ("एक फ़ंक्शन लिखें", "तेज़।", "एक फ़ंक्शन लिखें। तेज़।"),
        ("هل يمكن؟", "نعم.", "هل يمكن؟ نعم."),
        ("เขียนฟังก์ชัน", "เร็ว", "เขียนฟังก์ชัน เร็ว"),
        ("Напишите функцию", "Быстро.", "Напишите функцию. Быстро."),
    ],
)
def test_sentences_end_as_their_script_ends_them(before, addition, joined):
    """A stop is added only where none is, and blanks only where the script has them."""
    assert join_sentences(before, addition) == joined


GERMAN = "Die Funktion muss auch mit einer leeren Liste umgehen und darf sie nicht verändern."


@pytest.mark.parametrize(
    ("before", "changed"),
    [
        ("Sort a list.", "de, not en"),
        ("Find primes.", "de, not en"),
        ("Reverse words", "de, not en"),
        ("Bubble sort", ""),
        ("Fibonacci", ""),
        ("Liste sortieren", ""),
        ("Sortiere die Liste.", ""),
    ],
)
def test_a_very_short_english_task_is_not_left_for_another_language(before, changed):
    """A request verb or one common word tells; a name alone may be of any language."""
    assert changed_language(before, GERMAN) == changed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Describe la pila.", "El programa debe leer los números de la lista y mostrar una tabla."),
        (
            "Compare as listas.",
            "O programa deve ler os dados da lista e mostrar uma tabela para ela.",
        ),
        (
            "Trie la liste.",
            "Le programme doit lire les données de la liste et les afficher dans une table.",
        ),
    ],
)
def test_a_very_short_task_of_another_language_keeps_it(before, after):
    """Verbs that English shares with other languages do not make a task English."""
    assert changed_language(before, after) == ""


@pytest.mark.parametrize(("text", "foreign"), [
    ("Genera una password casuale.", True),
    ("Crea una página HTML", True),
    ("Fix it", False),
    ("Do a quicksort", False),
    ("Plot x and y", False),
    ("Escreva uma função que ordene uma lista.", False),  # its language is known
])  # fmt: skip
def test_words_that_two_languages_share_are_not_english(text, foreign):
    """A text of them has no known language, and is no English one either."""
    assert is_likely_foreign(text) is foreign


MIXED = "Reactのcomponentでuser listをrenderするcodeを書いてください。"
PORTUGUESE = "Escreva uma função que receba um array e faça o parse do JSON."


@pytest.mark.parametrize(("before", "after", "changes"), [
    (MIXED, "user list が empty の場合、component は null を return してください。", False),
    (MIXED, "The component must also handle an empty list and show a message for it.", True),
    (MIXED, "如果列表为空，组件必须显示一条消息。", True),
    (MIXED, "一覧表示件数：最大十件。", False),
    ("ＣＳＶを１００行読む関数を書いてください。", "１０００行を超える場合はエラーを返してください。", False),
    ("パイソンで関数を書いてください。", "ﾘｽﾄが空の場合はﾇﾙを返してください。", False),
    ("Python list에서 max 값을 return해줘", "list가 empty면 None을 return해야 합니다.", False),
    ("Python list에서 max 값을 return해줘", "If the list is empty, return None.", True),
    (PORTUGUESE, "Se o array estiver vazio, a função deve retornar null.", False),
    (PORTUGUESE, "Si el array está vacío, la función debe devolver una lista con los valores.", True),
    ("اكتب دالة بلغة Python ترتب قائمة من الأعداد.", "إذا كانت القائمة فارغة، يجب أن تعيد الدالة None.", False),
    ("اكتب دالة بلغة Python ترتب قائمة من الأعداد.", "اگر فهرست خالی باشد، تابع باید مقدار None را برگرداند و از کار باز بماند.", True),
])  # fmt: skip
def test_a_mixed_task_keeps_the_language_of_its_sentences(before, after, changes):
    """English words in a task of another language do not let an English addition pass."""
    assert bool(changed_language(before, after)) is changes
