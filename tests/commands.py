"""Runs the command line in the test's own process."""

from evolcoder.cli.main import main


def run_command(capsys, *arguments):
    """Run `evolcoder ARGUMENTS`; return its exit code, standard output and standard error."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err
