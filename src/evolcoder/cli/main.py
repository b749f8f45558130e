"""The door: finds the verb, runs it, and turns what went wrong into one line and an exit code.

Exit codes: 0 done, 1 anything else, 2 the user's mistake, 3 stopped at a budget (resumable),
130 interrupted, by SIGINT or SIGTERM (resumable). Nothing is loaded before signals are heard, so
that an interrupt while Python loads the rest is one line too.
"""

import sys

from evolcoder.cli.signals import AGAIN, CODE, RESUMED, Signals, heard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "run": "evolve seeds into harder, answered tasks, round after round",
    "verify": "check the answers of a data set by running them, in the sandbox",
    "eval": "score a model or a file of samples on benchmarks, in the sandbox",
    "clean": "drop doubles and benchmark leaks from a data file or a run, with the evidence",
    "loop": "evolve, fine-tune, score on dev, stop when it no longer helps; report every arm",
    "train": "fine-tune a model on rows, with the prompt that evaluation asks with",
    "inspect": "show a run's funnel, or one record's whole lineage",
    "export": "write a run's rows in a format that trainers read",
    "doctor": "show what works on this machine: sandbox, languages, models, room",
}
"""Verb -> what it does. Each is a module beside this one with `add_arguments` and `main`."""
RESUMING = frozenset({"run", "verify", "eval", "loop", "train"})
"""Verbs that go on where they were ended."""

FEWEST = 8
"""Files that any command may have open at a time."""

EPILOG = """\
start with:  evolcoder run --limit 8
exit codes:  0 done, 1 failed, 2 wrong input, 3 stopped at a budget (the same command resumes)
"""


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run one command line and return its exit code; without one, the process is this command."""
    with Signals(is_process=argv is None) as signals:
        from evolcoder.cli import output  # noqa: PLC0415 - signals are heard first

        output.open_closed_streams()
        with output.visible_streams():
            try:
                return signals.finish(_reported(sys.argv[1:] if argv is None else argv, signals))
            except KeyboardInterrupt:
                return signals.finish(_say(signals.line, CODE))


def _reported(argv: "Sequence[str]", signals: Signals) -> int:
    """Run a command line; what it raises becomes a line and an exit code."""
    from evolcoder import errors  # noqa: PLC0415 - as above
    from evolcoder.errors import system_error_text  # noqa: PLC0415 - later it may not be to be had

    codes = ((errors.BudgetReached, 3), (errors.UserError, 2), (errors.EvolcoderError, 1))
    try:
        code = _dispatch(list(argv), signals)
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_stdout()
        return 1
    except Exception as error:
        if heard():  # what an interrupt breaks off may fail in other ways
            return _say(signals.line, CODE)
        for kind, code in codes:
            if isinstance(error, kind):
                return _say(str(error), code)
        if (said := system_error_text(error)) is not None:
            return _say(said, 2)
        import traceback  # noqa: PLC0415 - as above

        traceback.print_exc()
        return _say("this is a fault in evolcoder; please report the lines above", 1)
    else:
        return code


def _dispatch(arguments: list[str], signals: Signals) -> int:
    import argparse  # noqa: PLC0415 - as above
    import importlib  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="evolcoder",
        description="Evolve coding instructions into a harder, answered, exportable training set.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    module = None
    for verb, summary in VERBS.items():
        inner = verbs.add_parser(verb, help=summary, description=summary, allow_abbrev=False)
        if arguments[:1] == [verb]:
            module = importlib.import_module(f"evolcoder.cli.{verb}")
            module.add_arguments(inner)
    parsed = parser.parse_args(arguments)
    if parsed.version:
        return _version()
    if module is None:
        parser.print_help(sys.stderr)
        return 2
    _check_surroundings()
    signals.begin(RESUMED if parsed.verb in RESUMING else AGAIN)
    code: int = module.main(parsed)
    return code


def _check_surroundings() -> None:
    """Refuse to begin where every verb would fail at some later place."""
    import os  # noqa: PLC0415 - as above

    from evolcoder.errors import (  # noqa: PLC0415
        UserError,
        descriptors_exhausted,
        too_few_descriptors,
    )

    if descriptors_exhausted(FEWEST):
        raise UserError(too_few_descriptors())
    try:
        os.getcwd()  # noqa: PTH109 - pathlib has no better one
    except OSError as error:
        raise UserError("the folder that you are in is gone; go to another") from error


def _give_up_stdout() -> None:
    """Have nothing more written to a pipe that nobody reads, by Python's own end either."""
    import os  # noqa: PLC0415 - as above

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> int:
    import evolcoder  # noqa: PLC0415 - the package is slow to import, and --help need not wait

    print(f"evolcoder {evolcoder.__version__}")
    return 0


def _say(message: str, code: int) -> int:
    from evolcoder.text import visible  # noqa: PLC0415 - as above

    print(f"evolcoder: {' '.join(visible(message).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
