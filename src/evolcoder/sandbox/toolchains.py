"""Every language but Python, and where its tools are on this machine.

>>> find("bash").command
('/usr/bin/bash', 'main.sh')

Which packages bring the toolchains that are not here: read off `Language.package`, never listed.

Promises that what is here already is not wanted again, whoever installed it. Does not install
anything: `cli/toolchains` does.

>>> offers("typescript (npm) or node-typescript")[1].names
('node-typescript',)
"""

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
"""Every language but Python, by name."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A language whose tools are here, with their paths."""

    language: Language
    """What it is the toolchain of."""
    compiler: tuple[str, ...]
    """As the language has it, with the compiler's path."""
    command: tuple[str, ...]
    """Likewise."""
    hidden: tuple[str, ...]
    """Likewise."""
    folders: tuple[Path, ...]
    """Folders outside of the system's that the tools need."""


def find(name: str) -> Toolchain:
    """Find the tools of a language, or say which package brings them."""
    if name not in LANGUAGES:
        raise SandboxRefusedError(f"{name}: unknown language; known are {', '.join(LANGUAGES)}")
    language = LANGUAGES[name]
    folders: dict[Path, None] = {}
    found = [
        _located(command, language, folders)
        for command in (language.compiler, language.command, language.hidden)
    ]
    return Toolchain(language, found[0], found[1], found[2], tuple(folders))


def fingerprint(name: str) -> str:
    """Say which tools a language has here, by path, size and date; empty where one is lacking."""
    try:
        toolchain = find(name)
    except SandboxRefusedError:
        return ""
    names = {words[0] for words in (toolchain.compiler, toolchain.command) if words}
    stats = [(path, path.stat()) for path in map(Path, sorted(names)) if path.is_absolute()]
    return " ".join(f"{path}:{stat.st_size}:{stat.st_mtime_ns}" for path, stat in stats)


def _located(
    command: tuple[str, ...], language: Language, folders: dict[Path, None]
) -> tuple[str, ...]:
    if not command or command[0].startswith("./"):
        return command
    found = shutil.which(command[0])
    if found is None:
        raise SandboxRefusedError(
            f"{language.name}: there is no {command[0]}; install {language.package}"
        )
    path = Path(found).resolve()
    if path.name == "rustup":
        done = subprocess.run([found, "--print", "sysroot"], capture_output=True, check=False)
        path = Path(done.stdout.decode().strip(), "bin", command[0])
    if _is_systems(path):
        return (found if _is_systems(Path(found)) else str(path), *command[1:])
    folders[path.parent.parent] = None
    return (str(path), *command[1:])


def _is_systems(path: Path) -> bool:
    """Tell whether every container has a path, under the same name."""
    return any(path.is_relative_to(folder) for folder in ("/usr", "/bin", "/etc"))


DEBIAN: Final = "debian"
NPM: Final = "npm"
UNRELEASED: Final = 1000
"""What Debian's next release, which has no number yet, counts as."""


@dataclass(frozen=True, slots=True)
class PackageOffer:
    """One way to get a language's tools."""

    names: tuple[str, ...]
    """The packages; the first one brings the tools, the others what tests import."""
    source: str
    """`debian`, `npm`, or the site that has them."""
    since: int = 0
    """Debian's first release that has them."""


@dataclass(frozen=True, slots=True)
class WantedPackage:
    """What a language lacks here."""

    language: str
    """Which language."""
    names: tuple[str, ...]
    """The packages that are not here."""
    source: str
    """Where they come from, as in `Offer`."""

    @property
    def installable(self) -> bool:
        """Whether a package manager brings them."""
        return self.source in {DEBIAN, NPM}


def offers(package: str) -> list[PackageOffer]:
    """Read a language's `package`: ways that are joined by "or", each with its source in brackets.

    Without brackets the names are Debian's; `debian 13` has them from that release on.
    """
    found = []
    for way in package.split(" or "):
        names, _, bracket = way.removesuffix(")").partition(" (")
        source, _, since = bracket.partition(" ")
        found.append(PackageOffer(tuple(names.split()), source or DEBIAN, int(since or 0)))
    return found


def wants() -> list[WantedPackage]:
    """Name what is not here, language by language."""
    chosen = {name: _choose(offers(language.package)) for name, language in LANGUAGES.items()}
    debian = [name for offer in chosen.values() if offer.source == DEBIAN for name in offer.names]
    installed = _installed(debian)
    found = []
    for language, offer in chosen.items():
        # Tools may have come another way; what tests import comes from the packages alone.
        names = offer.names[1:] if is_here(language) else offer.names
        if lacking := tuple(name for name in names if name not in installed):
            found.append(WantedPackage(language, lacking, offer.source))
    return found


def is_here(language: str) -> bool:
    """Tell whether a language's tools are found."""
    try:
        find(language)
    except SandboxRefusedError:
        return False
    return True


def _choose(ways: Sequence[PackageOffer]) -> PackageOffer:
    """Return the first way that can be gone here; npm's needs npm, Debian's may need a release."""
    for offer in ways:
        if offer.source == DEBIAN and offer.since <= _release():
            return offer
        if offer.source == NPM and shutil.which("npm"):
            return offer
    return ways[-1]


def _release() -> int:
    """Return Debian's release; 0 if this is no Debian, `UNRELEASED` for the next one."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return 0
    return int(system.get("VERSION_ID", UNRELEASED)) if system["ID"] == DEBIAN else 0


def _installed(names: Sequence[str]) -> set[str]:
    """Ask dpkg which packages are here; none where there is no dpkg."""
    if shutil.which("dpkg-query") is None:
        return set()
    form = "${db:Status-Status} ${Package}\n"
    command = ["dpkg-query", "--show", f"--showformat={form}", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {name for status, _, name in lines if status == "installed"}
