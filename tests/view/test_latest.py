"""A slow value is made in a thread, shown until there is another, and its failure is raised."""

import sqlite3
import threading
from unittest import mock

import pytest

from evolcoder.errors import EvolcoderError, RunFolderError
from evolcoder.view import latest
from evolcoder.view.latest import Latest


def test_a_page_does_not_wait_for_a_slow_value(monkeypatch):
    """There is none until it is made; then it stays until another one is."""
    monkeypatch.setattr(latest, "WAIT_S", 0.001)
    monkeypatch.setattr(latest, "PAUSE", 0)
    go, made = threading.Semaphore(0), []

    def compute():
        go.acquire()
        made.append(len(made))
        return f"value {made[-1]}"

    one = Latest(compute)
    assert one.get("a") is None
    go.release()
    monkeypatch.setattr(latest, "WAIT_S", 60)
    assert one.get("a") == one.get("a") == "value 0"
    assert one.get("b") == "value 0"
    go.release()
    while one.get("b") != "value 1":
        pass
    assert len(made) == 2


@pytest.mark.parametrize("error", [RunFolderError("away"), sqlite3.Error("away"),
                                   FileNotFoundError(2, "away", "x"), PermissionError(13, "away")])  # fmt: skip
def test_whatever_a_file_does_is_a_failure_of_the_page(monkeypatch, error):
    """A file that is deleted or forbidden while it is read leaves no page waiting for ever."""
    monkeypatch.setattr(latest, "WAIT_S", 60)
    one = Latest(mock.Mock(side_effect=error))
    with pytest.raises((EvolcoderError, sqlite3.Error), match="away"):
        one.get("a")


def test_what_fails_is_raised_until_it_does_not(monkeypatch):
    """A failure is that of the page; the next change is tried anew."""
    monkeypatch.setattr(latest, "WAIT_S", 60)
    monkeypatch.setattr(latest, "PAUSE", 0)
    answers = iter([RunFolderError("damaged"), "value"])

    def compute():
        found = next(answers)
        if isinstance(found, str):
            return found
        raise found

    one = Latest(compute)
    with pytest.raises(RunFolderError, match="damaged"):
        one.get("a")
    with pytest.raises(RunFolderError, match="damaged"):
        one.get("a")
    while True:
        try:
            assert one.get("b") == "value"
            break
        except RunFolderError:
            continue
