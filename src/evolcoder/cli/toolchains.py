"""`make toolchains`: installs the tools of the supported languages from Debian and npm.

Guarantees: installs only what the language definitions require and the machine lacks; if nothing is
missing, no package manager runs. An unavailable package affects only its own language. Prints all
packages that are still missing, and exits with 1 if Debian or npm has one of them.
Uses only the standard library, so it runs before anything is installed.

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

APT_TIMEOUTS = ("-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30")
"""Options that make apt give up quickly on an unreachable mirror."""


def main() -> int:
    """Install the missing packages, then print what is still missing."""
    missing = missing_packages()
    if any(want.installable for want in missing):
        _install_debian([want for want in missing if want.source == DEBIAN])
        _install_npm([name for want in missing if want.source == NPM for name in want.names])
        _post_install([want.language for want in missing if is_installed(want.language)])
        missing = missing_packages()
    for want in missing:
        elsewhere = "" if want.installable else "; neither this Debian nor npm has it"
        print(f"missing: {want.language}: {' '.join(want.names)} ({want.source}{elsewhere})")
    if not any(want.installable for want in missing):
        print("toolchains: all packages from Debian and npm are installed")
        return 0
    print("toolchains: some could not be installed", file=sys.stderr)
    return 1


def _install_debian(missing: Sequence[MissingPackages]) -> None:
    """Install all packages at once; if that fails, language by language."""
    names = [name for want in missing for name in want.names]
    if not names:
        return
    if shutil.which("apt-get") is None:
        print(
            "toolchains: apt-get not found; install the missing packages by hand", file=sys.stderr
        )
        return
    _run("apt-get", "update", "--quiet", *APT_TIMEOUTS)
    if _apt(names):
        return
    for want in missing:
        _apt(want.names)


def _apt(names: Sequence[str]) -> bool:
    return _run("apt-get", "install", "--yes", "--no-install-recommends", *APT_TIMEOUTS, *names)


def _install_npm(names: Sequence[str]) -> None:
    if names:
        _run("npm", "install", "--global", "--no-fund", "--no-audit", *names)


def _post_install(languages: Sequence[str]) -> None:
    """Run the post-installation commands of the given languages."""
    for language in (LANGUAGES[name] for name in languages if LANGUAGES[name].post_install):
        variables = [f"{name}={value}" for name, value in language.environment]
        _run("env", *variables, "sh", "-c", language.post_install)


def _run(*command: str) -> bool:
    """Run a command as root; return whether it succeeded. sudo may prompt on a terminal."""
    sudo = ["sudo", "--preserve-env=DEBIAN_FRONTEND"]
    sudo += [] if sys.stdin.isatty() else ["--non-interactive"]
    arguments = [*([] if os.geteuid() == 0 else sudo), *command]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print("+", *arguments, flush=True)
    try:
        return subprocess.run(arguments, env=environment, check=False).returncode == 0
    except OSError as error:
        print(f"toolchains: {arguments[0]}: {error.strerror}", file=sys.stderr)
        return False


if __name__ == "__main__":
    sys.exit(main())
