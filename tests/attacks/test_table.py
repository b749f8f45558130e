"""The table of attacks counts tests that are there."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "benchmarks" / "attack_table.py"


def test_every_kind_of_attack_is_counted():
    """A test that is renamed would leave the table without a word."""
    texts = [file.read_text(encoding="utf-8") for file in HERE.glob("test_*.py")]
    tests = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    counted = re.findall(r'"(test_\w+)"', TABLE.read_text(encoding="utf-8"))
    assert counted
    assert set(counted) <= tests
