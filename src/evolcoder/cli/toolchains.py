"""`make toolchains`: installs what Debian and npm have of the languages' tools.

Promises: asks the languages what they need and touches nothing that is here; when all is here no
package manager is started. A package that cannot be had costs its own language only. Exits 1 if
something that Debian or npm brings is still missing, and always names what is.
Needs the standard library alone, so that it runs before anything is installed.

    PYTHONPATH=src python3 -m evolcoder.cli.toolchains
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from evolcoder.sandbox.toolchains import (
    DEBIAN,
    LANGUAGES,
    NPM,
    MissingPackages,
    is_installed,
    missing_packages,
)

PATIENCE = ("-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30")
"""A mirror that is down must not hold anybody up for long."""


def main() -> int:
    """Install what is missing, then say what still is."""
    missing = missing_packages()
    if any(want.installable for want in missing):
        _install_debian([want for want in missing if want.source == DEBIAN])
        _install_npm([name for want in missing if want.source == NPM for name in want.names])
        _finish([want.language for want in missing if is_installed(want.language)])
        missing = missing_packages()
    for want in missing:
        elsewhere = "" if want.installable else "; neither this Debian nor npm has it"
        print(f"missing: {want.language}: {' '.join(want.names)} ({want.source}{elsewhere})")
    if not any(want.installable for want in missing):
        print("toolchains: all that Debian and npm bring are here")
        return 0
    print("toolchains: some could not be installed", file=sys.stderr)
    return 1


def _install_debian(missing: Sequence[MissingPackages]) -> None:
    """Install all at once, or, if a package cannot be had, language by language."""
    names = [name for want in missing for name in want.names]
    if not names:
        return
    if shutil.which("apt-get") is None:
        print("toolchains: there is no apt-get; install these by hand", file=sys.stderr)
        return
    _run("apt-get", "update", "--quiet", *PATIENCE)
    if _apt(names):
        return
    for want in missing:
        _apt(want.names)


def _apt(names: Sequence[str]) -> bool:
    return _run("apt-get", "install", "--yes", "--no-install-recommends", *PATIENCE, *names)


def _install_npm(names: Sequence[str]) -> None:
    if names:
        _run("npm", "install", "--global", "--no-fund", "--no-audit", *names)


def _finish(languages: Sequence[str]) -> None:
    """Do what some packages leave to be done."""
    for language in (LANGUAGES[name] for name in languages if LANGUAGES[name].post_install):
        variables = [f"{name}={value}" for name, value in language.environment]
        _run("env", *variables, "sh", "-c", language.post_install)


def _run(*command: str) -> bool:
    """Run a command as root, which may mean to ask a person at a terminal for a password."""
    sudo = ["sudo", "--preserve-env=DEBIAN_FRONTEND"]
    sudo += [] if sys.stdin.isatty() else ["--non-interactive"]
    words = [*([] if os.geteuid() == 0 else sudo), *command]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print("+", *words, flush=True)
    try:
        return subprocess.run(words, env=environment, check=False).returncode == 0
    except OSError as error:
        print(f"toolchains: {words[0]}: {error.strerror}", file=sys.stderr)
        return False


if __name__ == "__main__":
    sys.exit(main())
