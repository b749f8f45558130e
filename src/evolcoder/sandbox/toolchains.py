"""All languages except Python, their tools on this machine, and the packages that provide them.

Packages are read from `Language.package`. A tool that is installed is not reported as missing,
whatever its origin. Nothing is installed here; `cli/toolchains` does that.

>>> find("bash").command
('/usr/bin/bash', 'main.sh')
>>> parse_offers("typescript (npm) or node-typescript")[1].names
('node-typescript',)
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evolcoder.errors import SandboxRefusedError
from evolcoder.sandbox.language import Language
from evolcoder.sandbox.languages import (
    bash,
    c,
    cpp,
    csharp,
    d,
    go,
    java,
    javascript,
    julia,
    lua,
    perl,
    php,
    r,
    racket,
    ruby,
    rust,
    scala,
    swift,
    typescript,
)

_MODULES = (
    *(bash, c, cpp, csharp, d, go, java, javascript, julia, lua, perl, php, r, racket, ruby),
    *(rust, scala, swift, typescript),
)
LANGUAGES: dict[str, Language] = {module.LANGUAGE.name: module.LANGUAGE for module in _MODULES}
"""Languages by name, without Python."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A language whose tools are installed, with their paths."""

    language: Language
    """The language."""
    compiler: tuple[str, ...]
    """`Language.compiler` with the compiler's path."""
    command: tuple[str, ...]
    """`Language.command` with the tool's path."""
    hidden: tuple[str, ...]
    """`Language.hidden` with the tool's path."""
    folders: tuple[Path, ...]
    """Folders outside the system's that the tools need."""


def find(name: str) -> Toolchain:
    """Find a language's tools; SandboxRefusedError names the package if one is missing."""
    if name not in LANGUAGES:
        raise SandboxRefusedError(f"{name}: unknown language; known: {', '.join(LANGUAGES)}")
    language = LANGUAGES[name]
    folders: dict[Path, None] = {}
    found = [
        _locate(command, language, folders)
        for command in (language.compiler, language.command, language.hidden)
    ]
    return Toolchain(language, found[0], found[1], found[2], tuple(folders))


def fingerprint(name: str) -> str:
    """Identify a language's tools by path, size and date; empty if one is missing."""
    try:
        toolchain = find(name)
    except SandboxRefusedError:
        return ""
    names = {words[0] for words in (toolchain.compiler, toolchain.command) if words}
    stats = [(path, path.stat()) for path in map(Path, sorted(names)) if path.is_absolute()]
    return " ".join(f"{path}:{stat.st_size}:{stat.st_mtime_ns}" for path, stat in stats)


def _locate(
    command: tuple[str, ...], language: Language, folders: dict[Path, None]
) -> tuple[str, ...]:
    if not command or command[0].startswith("./"):
        return command
    found = shutil.which(command[0])
    if found is None:
        raise SandboxRefusedError(
            f"{language.name}: {command[0]} not found; install {language.package}"
        )
    path = Path(found).resolve()
    if path.name == "rustup":
        done = subprocess.run([found, "--print", "sysroot"], capture_output=True, check=False)
        path = Path(os.fsdecode(done.stdout).strip(), "bin", command[0])
        if not path.is_absolute() or not path.is_file():
            raise SandboxRefusedError(
                f"{language.name}: {found} is rustup's and finds no toolchain; run "
                "`rustup default stable`, and set HOME or RUSTUP_HOME to its user's"
            )
    if _is_in_container(path):
        return (found if _is_in_container(Path(found)) else str(path), *command[1:])
    folders[path.parent.parent] = None
    return (str(path), *command[1:])


def _is_in_container(path: Path) -> bool:
    """Return whether every container has the path under the same name."""
    return any(path.is_relative_to(folder) for folder in ("/usr", "/bin", "/etc"))


DEBIAN: Final = "debian"
NPM: Final = "npm"
UNRELEASED: Final = 1000
"""Release number of Debian testing, which has none yet."""


@dataclass(frozen=True, slots=True)
class PackageOffer:
    """One source of a language's tools."""

    names: tuple[str, ...]
    """Packages; the first provides the tools, the others provide libraries for tests."""
    source: str
    """`debian`, `npm`, or a website."""
    since: int = 0
    """First Debian release that has them."""


@dataclass(frozen=True, slots=True)
class MissingPackages:
    """Packages that a language lacks here."""

    language: str
    """Name of the language."""
    names: tuple[str, ...]
    """Packages that are not installed."""
    source: str
    """Their source, as in `PackageOffer`."""

    @property
    def installable(self) -> bool:
        """Whether a package manager provides them."""
        return self.source in {DEBIAN, NPM}


def parse_offers(package: str) -> list[PackageOffer]:
    """Parse `Language.package`: alternatives joined by "or", each with its source in parentheses.

    Names without parentheses are Debian packages; `debian 13` means since release 13.
    """
    found = []
    for way in package.split(" or "):
        names, _, bracket = way.removesuffix(")").partition(" (")
        source, _, since = bracket.partition(" ")
        found.append(PackageOffer(tuple(names.split()), source or DEBIAN, int(since or 0)))
    return found


def missing_packages() -> list[MissingPackages]:
    """List the missing packages of each language."""
    chosen = {name: _choose(parse_offers(language.package)) for name, language in LANGUAGES.items()}
    debian = [name for offer in chosen.values() if offer.source == DEBIAN for name in offer.names]
    installed = _installed(debian)
    found = []
    for language, offer in chosen.items():
        # Tools may come from elsewhere; libraries for tests come from these packages only.
        names = offer.names[1:] if is_installed(language) else offer.names
        if lacking := tuple(name for name in names if name not in installed):
            found.append(MissingPackages(language, lacking, offer.source))
    return found


def is_installed(language: str) -> bool:
    """Return whether a language's tools are installed."""
    try:
        find(language)
    except SandboxRefusedError:
        return False
    return True


def _choose(ways: Sequence[PackageOffer]) -> PackageOffer:
    """Return the first usable offer: npm needs npm, Debian may need a release."""
    for offer in ways:
        if offer.source == DEBIAN and offer.since <= _release():
            return offer
        if offer.source == NPM and shutil.which("npm"):
            return offer
    return ways[-1]


def _release() -> int:
    """Return Debian's release; 0 for other systems, `UNRELEASED` for Debian testing."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return 0
    return int(system.get("VERSION_ID", UNRELEASED)) if system["ID"] == DEBIAN else 0


def _installed(names: Sequence[str]) -> set[str]:
    """Return which packages dpkg has installed; none without dpkg."""
    if shutil.which("dpkg-query") is None:
        return set()
    form = "${db:Status-Status} ${Package}\n"
    command = ["dpkg-query", "--show", f"--showformat={form}", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {name for status, _, name in lines if status == "installed"}
