"""Every language but Python, and where its tools are on this machine.

>>> find("bash").command
('/usr/bin/bash', 'main.sh')
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

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
