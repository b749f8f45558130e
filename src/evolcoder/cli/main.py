"""The door: finds the verb, runs it, and turns what went wrong into one line and an exit code.

Exit codes: 0 done, 1 anything else, 2 the user's mistake, 3 stopped at a budget (resumable),
130 interrupted (resumable).
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from evolcoder import errors

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

CODES = ((errors.BudgetReached, 3), (errors.UserError, 2), (errors.EvolcoderError, 1))
"""Kind of error -> exit code; the first that fits."""

EPILOG = """\
start with:  evolcoder run --limit 8
exit codes:  0 done, 1 failed, 2 wrong input, 3 stopped at a budget (the same command resumes)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    try:
        return _dispatch(list(sys.argv[1:] if argv is None else argv))
    except errors.EvolcoderError as error:
        return _say(str(error), next(code for kind, code in CODES if isinstance(error, kind)))
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on from here", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:
        traceback.print_exc()
        return _say("this is a fault in evolcoder; please report the lines above", 1)


def _dispatch(arguments: list[str]) -> int:
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
    code: int = module.main(parsed)
    return code


def _version() -> int:
    import evolcoder  # noqa: PLC0415 - the package is slow to import, and --help need not wait

    print(f"evolcoder {evolcoder.__version__}")
    return 0


def _say(message: str, code: int) -> int:
    print(f"evolcoder: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
