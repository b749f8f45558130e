"""`make toolchains` installs the packages that languages declare and that are missing."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evolcoder.cli import toolchains
from evolcoder.sandbox.toolchains import LANGUAGES, NPM, missing_packages, parse_offers

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An empty PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def system(monkeypatch):
    """Fakes another operating system by its /etc/os-release."""

    def become(**said):
        monkeypatch.setattr(platform, "freedesktop_os_release", lambda: said)

    return become


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("release", "elsewhere"),
    [
        ({"VERSION_ID": "12"}, {"julia": "julialang.org", "swift": "swift.org"}),
        ({"VERSION_ID": "13"}, {"julia": "julialang.org"}),
        ({}, {"julia": "julialang.org"}),
    ],
    ids=["bookworm", "trixie", "sid"],
)
def test_every_language_that_a_debian_has_is_installed(bare, system, release, elsewhere):
    """On a bare machine every language is listed, unavailable ones by name."""
    system(ID="debian", **release)
    found = missing_packages()
    assert {want.language for want in found if want.installable} == set(LANGUAGES) - set(elsewhere)
    assert {want.language: want.source for want in found if not want.installable} == elsewhere


def test_another_systems_number_is_no_release_of_debian(bare, system):
    """Ubuntu 24 has a higher number than Debian 13 but is not a later Debian."""
    system(ID="ubuntu", VERSION_ID="24.04")
    (want,) = [want for want in missing_packages() if want.language == "swift"]
    assert (want.names, want.installable) == (("swift",), False)


def test_the_makefile_names_no_package():
    """The language definitions are the only list; `make toolchains` reads it."""
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    recipe = text.partition("\ntoolchains:")[2].partition("\n\n")[0]
    assert "evolcoder.cli.toolchains" in recipe
    named = {
        name
        for language in LANGUAGES.values()
        for way in parse_offers(language.package)
        for name in way.names
    }
    assert not named & set(recipe.split())


def test_typescript_comes_from_npm_where_there_is_npm(bare):
    """Debian's npm would install four hundred packages for one."""
    program(bare, "npm", "exit 0")
    (want,) = [want for want in missing_packages() if want.language == "typescript"]
    assert (want.names, want.source) == (("typescript",), NPM)


def test_tools_that_came_another_way_are_not_installed_again(bare):
    """With ruby on PATH, only its test library is missing."""
    program(bare, "ruby", "exit 0")
    (want,) = [want for want in missing_packages() if want.language == "ruby"]
    assert want.names == ("ruby-test-unit",)


def test_an_unreachable_mirror_is_reported_quickly(bare, capfd):
    """Every missing package is named, and the exit code is 1."""
    program(bare, "apt-get", "exit 100")
    program(bare, "sudo", 'while [ "$1" != apt-get ]; do shift; done\nexec "$@"')
    assert toolchains.main() == 1
    out, err = capfd.readouterr()
    assert "missing: lua: lua5.3 lua-unit (debian)" in out
    assert "missing: julia: julia (julialang.org; neither this Debian nor npm has it)" in out
    assert "some could not be installed" in err


def test_a_package_that_is_not_to_be_had_costs_its_own_language_only(bare, capfd):
    """If installing all packages fails, each language is tried separately."""
    log = bare / "log"
    refused = 'case "$*" in *mono-mcs*) exit 100;; esac'
    program(bare, "apt-get", f'echo "$*" >> {log}\n{refused}')
    program(bare, "sudo", 'while [ "$1" != apt-get ]; do shift; done\nexec "$@"')
    toolchains.main()
    alone = [line for line in log.read_text().splitlines() if "mono-mcs" not in line]
    assert any("php-cli" in line for line in alone)
    assert any("lua-unit" in line and "php-cli" not in line for line in alone)


def test_what_an_installation_leaves_to_be_done_is_done_once(bare):
    """Go's library is compiled after its package, with the variables that programs get."""
    log, go = bare / "log", bare / "go"
    program(bare, "apt-get", f'echo "#!/bin/sh" > {go}\n/bin/chmod +x {go}')
    program(bare, "sudo", 'until [ "$1" = apt-get ] || [ "$1" = env ]; do shift; done\nexec "$@"')
    program(bare, "env", f'echo "$*" >> {log}')
    toolchains.main()
    toolchains.main()
    (line,) = log.read_text().splitlines()
    assert "GODEBUG=installgoroot=all" in line.split()
    assert "go install std" in line


def test_nothing_is_started_when_all_is_here(monkeypatch, bare, capfd):
    """With all tools and packages installed, no package manager runs."""
    for language in LANGUAGES.values():
        for command in (language.compiler, language.command, language.hidden):
            if command and not command[0].startswith("./"):
                program(bare, command[0], "exit 0")
    program(bare, "dpkg-query", 'for name in "$@"; do echo "installed $name"; done')
    program(bare, "apt-get", "exit 100")
    assert toolchains.main() == 0
    assert "apt-get" not in capfd.readouterr().out


def test_the_installer_needs_the_standard_library_alone():
    """It runs before any package is installed: `-S` hides all packages."""
    code = "import sys; sys.path.insert(0, 'src'); import evolcoder.cli.toolchains"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_images_first_layer_has_all_that_the_installer_imports(tmp_path):
    """The image copies only the installer's modules before running it."""
    text = (REPOSITORY / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    for line in text.partition("\nRUN ")[0].splitlines():
        if line.startswith("COPY "):
            *sources, target = line.split()[1:]
            for source in sources:
                copy(REPOSITORY / source, tmp_path / target)
    code = "import sys; sys.path.insert(0, 'src'); import evolcoder.cli.toolchains"
    command = [sys.executable, "-I", "-S", "-B", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def copy(source, target):
    """Copy like Dockerfile's COPY: a folder's contents, or a file into a folder."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
