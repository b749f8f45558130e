"""Time is counted while at least one context of a name is open."""

from evolcoder.pipeline import StageTimer


def test_what_overlaps_counts_once_and_gaps_do_not_count():
    """Spans 0 to 3, 2 to 5 and 9 to 10 under one name count six seconds."""
    now = iter((0.0, 5.0, 9.0, 10.0))
    spans = StageTimer(lambda: next(now))
    first, second = spans.during("a"), spans.during("a")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    with spans.during("a"):
        pass
    assert spans.seconds() == {"a": 6.0}


def test_names_have_clocks_of_their_own():
    """Ending one name's context does not stop another's clock."""
    now = iter((0.0, 1.0, 4.0, 6.0))
    spans = StageTimer(lambda: next(now))
    with spans.during("evolve"), spans.during("respond"):
        pass
    assert spans.seconds() == {"evolve": 6.0, "respond": 3.0}
