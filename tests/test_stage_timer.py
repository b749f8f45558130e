"""Time in which at least one of a kind is in work."""

from evolcoder.stage_timer import StageTimer


def test_what_overlaps_counts_once_and_gaps_do_not_count():
    """Two under one name from 0 to 3 and 2 to 5, then one from 9 to 10: six seconds."""
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
    """One name's end does not end another's."""
    now = iter((0.0, 1.0, 4.0, 6.0))
    spans = StageTimer(lambda: next(now))
    with spans.during("evolve"), spans.during("respond"):
        pass
    assert spans.seconds() == {"evolve": 6.0, "respond": 3.0}
