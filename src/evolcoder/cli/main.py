"""Entry point: runs a verb and turns every error into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong input, 3 stopped at a budget (resumable), 130 interrupted by
SIGINT or SIGTERM (resumable). Signal handlers are installed before anything else is imported, so an
interrupt during imports also ends with one line.

>>> main(["inspect", "runs/mine"])   # doctest: +SKIP
"""

import sys

from evolcoder.cli.signals import (
    EXIT_INTERRUPTED,
    RESTART_MESSAGE,
    RESUME_MESSAGE,
    Signals,
    was_interrupted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "run": "evolve seeds into harder, answered tasks over several rounds",
    "verify": "check the answers of a data set by executing them in the sandbox",
    "eval": "score a model or a file of samples on benchmarks in the sandbox",
    "clean": "remove duplicates and benchmark leaks from a data file or a run; report the evidence",
    "loop": "evolve, fine-tune and score on dev until evolution stops helping; report every arm",
    "train": "fine-tune a model on rows, with the prompt template used in evaluation",
    "inspect": "show the funnel of a run, or the full lineage of one record",
    "report": "write one HTML page, Markdown or JSON about a run, evaluation, loop or cleaned file",
    "view": "show runs, evaluations, loops and cleaned files as local web pages, also live",
    "export": "write the rows of a run in a training format",
    "cluster": "check what the nodes of a Ray cluster can do: processors, GPUs, sandbox, vLLM",
    "doctor": "check this machine: sandbox, languages, models, memory and disk space",
}
"""Verb -> summary. Each verb is a module of this package with `add_arguments` and `main`."""
RESUMING = frozenset({"run", "verify", "eval", "loop", "train"})
"""Verbs that resume when interrupted."""

MIN_FREE_DESCRIPTORS = 8
"""File descriptors that every verb needs at least."""

EPILOG = """\
start with:  evolcoder run --limit 8
exit codes:  0 done, 1 failed, 2 wrong input, 3 stopped at a budget (the same command resumes)
"""


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run one command line and return its exit code.

    None: run `sys.argv`, as the only command of this process.
    """
    with Signals(is_process=argv is None) as signals:
        from evolcoder.cli import output  # noqa: PLC0415 - signal handlers come first

        output.open_closed_streams()
        with output.visible_streams():
            try:
                arguments = sys.argv[1:] if argv is None else argv
                return signals.finish(_run_and_report(arguments, signals))
            except KeyboardInterrupt:
                return signals.finish(_report_interrupt(signals))


def _run_and_report(argv: "Sequence[str]", signals: Signals) -> int:
    """Run a command line, print its error and return the exit code."""
    from evolcoder import errors  # noqa: PLC0415 - as above
    from evolcoder.errors import system_error_text  # noqa: PLC0415 - later it may not be importable

    codes = ((errors.BudgetReached, 3), (errors.UserError, 2), (errors.EvolcoderError, 1))
    try:
        try:
            code = _dispatch(list(argv), signals)
        except SystemExit:  # of --help
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
        return 1
    except Exception as error:
        if was_interrupted():  # an interrupt can surface as another error
            return _report_interrupt(signals)
        for kind, code in codes:
            if isinstance(error, kind):
                return _print_error(str(error), code)
        if (text := system_error_text(error)) is not None:
            return _print_error(text, 2)
        import traceback  # noqa: PLC0415 - as above

        traceback.print_exc()
        return _print_error("this is a bug in evolcoder; please report the traceback above", 1)
    else:
        return code


def _report_interrupt(signals: Signals) -> int:
    """Print that the command was interrupted; a training's launcher says it for its processes."""
    if _is_training_process():
        return EXIT_INTERRUPTED
    return _print_error(signals.message, EXIT_INTERRUPTED)


def _is_training_process() -> bool:
    """Whether this is one of the processes of a training on several GPUs."""
    import os  # noqa: PLC0415 - as above

    return "TORCHELASTIC_RUN_ID" in os.environ and "WORLD_SIZE" in os.environ


def _dispatch(arguments: list[str], signals: Signals) -> int:
    import argparse  # noqa: PLC0415 - as above
    import importlib  # noqa: PLC0415

    from evolcoder.cli.usage import Parser  # noqa: PLC0415

    parser = Parser(
        prog="evolcoder",
        description="Evolve coding instructions into a harder, answered, exportable training set.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    module, chosen = None, parser
    for verb, summary in VERBS.items():
        inner = verbs.add_parser(verb, help=summary, description=summary, allow_abbrev=False)
        if arguments[:1] == [verb]:
            module = importlib.import_module(f"evolcoder.cli.{verb}")
            module.add_arguments(inner)
            chosen = inner
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        chosen.error(f"unrecognized arguments: {' '.join(unknown)}")
    if parsed.version:
        return _version()
    if module is None:
        parser.print_help(sys.stderr)
        return 2
    _check_environment()
    signals.begin(RESUME_MESSAGE if parsed.verb in RESUMING else RESTART_MESSAGE)
    code: int = module.main(parsed)
    return code


def _check_environment() -> None:
    """Raise UserError if every verb would fail later: no descriptors or no current directory."""
    import os  # noqa: PLC0415 - as above

    from evolcoder.errors import (  # noqa: PLC0415
        UserError,
        descriptors_exhausted,
        too_few_descriptors,
    )

    if descriptors_exhausted(MIN_FREE_DESCRIPTORS):
        raise UserError(too_few_descriptors())
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd() calls it too
    except OSError as error:
        raise UserError("the current folder no longer exists; change to another one") from error


def _discard_stdout() -> None:
    """Redirect stdout to /dev/null, so that Python's flush at exit does not fail on the pipe."""
    import os  # noqa: PLC0415 - as above

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> int:
    import evolcoder  # noqa: PLC0415 - slow to import; --help does not need it

    print(f"evolcoder {evolcoder.__version__}")
    return 0


def _print_error(message: str, code: int) -> int:
    from evolcoder.cli.usage import print_error_line  # noqa: PLC0415 - as above
    from evolcoder.visible import visible  # noqa: PLC0415

    print_error_line(f"evolcoder: {' '.join(visible(message).split())}")
    return code


def _end(code: int) -> None:
    """End this process; at once if it is part of a training that failed.

    Others may wait for it in a collective operation, for which an orderly end would wait too.
    """
    import os  # noqa: PLC0415 - as above

    if code and _is_training_process():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    _end(main())
