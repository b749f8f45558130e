"""CPU time and idleness are added up over samples of a program."""

import os

import pytest

from evolcoder.sandbox.inside import metering
from evolcoder.sandbox.inside.metering import OVER_LIMIT, SAMPLE_S, CgroupMeter, Ledger
from evolcoder.sandbox.inside.process_tree import ProcessInfo
from evolcoder.sandbox.inside.protocol import KILLED


def seen(pid, own_s, waited_s=0.0, started=1):
    return ProcessInfo(pid, 1, b"R", own_s, waited_s, 1, started, 0, "")


LOOKS = {
    "one process": ([[seen(7, 0.5)], [seen(7, 2.0)]], 2.0),
    "a child that was waited for": ([[seen(7, 0.5), seen(8, 1.0)], [seen(7, 0.5, 1.25)]], 1.75),
    "a child that nobody waited for": ([[seen(7, 0.5), seen(8, 1.0)], [seen(7, 0.5)]], 1.5),
    "a child that came and went between looks": ([[seen(7, 0.5)], [seen(7, 0.5, 3.0)]], 3.5),
    "a process id that is given to another": ([[seen(7, 2.0)], [seen(7, 1.0, started=2)]], 3.0),
    "no processes any longer": ([[seen(7, 2.0)], []], 2.0),
}


@pytest.mark.parametrize("name", LOOKS)
def test_cpu_time_counts_once_whichever_process_reaped(name):
    """CPU time is counted once, whether seen in a sample or through the reaping parent."""
    looks, in_all = LOOKS[name]
    ledger = Ledger()
    for look in looks:
        ledger.add(look)
    assert ledger.cpu_s == pytest.approx(in_all)


def test_what_is_assumed_and_what_was_waited_for_do_not_add_up():
    """Only the larger of both counts, the assumed time at a discount."""
    ledger = Ledger()
    ledger.add([seen(7, 1.0)])
    ledger.assume(2.0)
    assert ledger.cpu_s == pytest.approx(1.0 + 0.9 * 2.0)
    ledger.add([seen(7, 1.0, 5.0)])
    assert ledger.cpu_s == pytest.approx(6.0)


STAGE = {"idle_s": 1.0, "idle_in_all_s": 3.0}


def looked_at(n, used_s, idleness, every_s=SAMPLE_S):
    """Return how idle a program is after `n` samples with `used_s` CPU seconds between them."""
    idle = metering._Idleness(0.0)
    for number in range(1, n + 1):
        idle.add(number * every_s, number * used_s, lambda: idleness)
    return idle


@pytest.mark.parametrize(("n", "used_s", "idleness", "is_over"), [
    (50, 0.0, 1.0, True),  # sleeps
    (50, 0.0, 0.0, False),  # waits for a processor
    (500, SAMPLE_S, 1.0, False),  # works
    (20, 0.0, 1.0, False),  # has not slept for long
    (500, 0.02 * SAMPLE_S, 1.0, True),  # sleeps, and works a little between
])  # fmt: skip
def test_a_program_that_could_use_a_cpu_and_does_not_is_idle(n, used_s, idleness, is_over):
    """Waiting for or using a CPU is not idle."""
    assert looked_at(n, used_s, idleness).is_over(STAGE, ran_s=0.0) is is_over


def test_a_gap_between_samples_does_not_count_as_idle():
    """After a long gap between samples only the expected interval counts."""
    assert not looked_at(3, 0.0, 1.0, every_s=100.0).is_over(STAGE, ran_s=0.0)


V1 = {
    "cpu": "2000000000\n",
    "events": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    "usage": "1000\n",
    "stat": "cache 0\nshmem 0\n",
    "peak": "1000\n",
    "limit": "0\n",
    "limit with swap": "0\n",
}
V2 = {
    "cpu": "usage_usec 2000000\nuser_usec 1\n",
    "events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
    "usage": "1000\n",
    "stat": "anon 0\nfile 0\nshmem 0\nslab_reclaimable 0\n",
    "peak": "1000\n",
    "limit": "max\n",
    "reclaim": "",
}
MB = 1 << 20
JOB = {"compile": {"bound": 0}, "run": {"bound": 256 * MB}}


@pytest.fixture(params=["v1", "v2", "v2 without peaks"])
def group(request, tmp_path):
    """A folder with a control group's files, as in each version."""
    files = dict(V1 if request.param == "v1" else V2)
    if request.param == "v2 without peaks":
        del files["peak"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def meter(group, monkeypatch):
    """A meter of these files, in a worker that uses no CPU time itself."""
    monkeypatch.setattr(metering.time, "process_time", lambda: 0.0)
    files = {path.name: os.open(path, os.O_RDWR) for path in group.iterdir()}
    meter = CgroupMeter(files, list, -1)
    meter.begin(JOB)
    yield meter
    for fd in files.values():
        os.close(fd)


def test_a_group_is_given_the_limit_of_a_program(group, meter):
    """The worker's own memory is added to the limit."""
    limit = int((group / "limit").read_text().split()[0])
    assert 256 * MB < limit < 256 * MB + 8 * MB


def test_processor_time_of_a_group_is_in_seconds(group, meter):
    """Version 1 reports nanoseconds and version 2 microseconds."""
    text = (group / "cpu").read_text()
    (group / "cpu").write_text(text.replace("2000000", "5500000"))
    assert meter.sample(JOB["run"], 0.1, 0).cpu_s == pytest.approx(3.5)


@pytest.mark.parametrize(("at_limit", "why"), [(True, OVER_LIMIT), (False, KILLED)])
def test_its_own_limit_is_distinguished_from_lack_of_memory_on_the_machine(
    group, meter, at_limit, why
):
    """Lack of memory on the machine is not the program's failure."""
    if at_limit:
        for name in ("peak", "usage"):
            if (group / name).exists():
                (group / name).write_text(f"{256 * MB}\n")
        meter.sample(JOB["run"], 0.1, 0)
    text = (group / "events").read_text().replace("oom_kill 0", "oom_kill 1")
    (group / "events").write_text(text.replace("oom 0", "oom 1") if at_limit else text)
    assert meter.sample(JOB["run"], 0.1, 0).over == why
