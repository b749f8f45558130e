"""Bash; the seal consists of keywords, which no function of the candidate can replace.

Its scripts call programs that every Debian has, except two that models like to use.
"""

from evolcoder.sandbox.language import Language, Requirement, Seal

LANGUAGE = Language(
    name="bash",
    file="main.sh",
    package="bash bc bsdextrautils",
    command=("bash", "main.sh"),
    hidden=("bash", "-c", 'eval "$(cat)"'),
    seal=Seal(
        check=r"^(\s*)(\[\[ .* \]\])\s*$",
        check_replacement=(
            r"\1if \2; then ((n_NAME += 1)); "
            r'else printf "REFUSED %d failed\\n" "$n_NAME" >&2; false; fi'
        ),
        epilogue='printf "TOKEN %d\\n" "$n_NAME" >&3',
    ),
    requirements=(
        Requirement(
            name="bc",
            program="command -v bc >/dev/null && echo 42",
            package="bc",
            used_by=r"(?:^|[|;&(`]|\b(?:do|then|else)\b)\s*bc\b",
        ),
        Requirement(
            name="rev",
            program="command -v rev >/dev/null && echo 42",
            package="bsdextrautils",
            used_by=r"(?:^|[|;&(`]|\b(?:do|then|else)\b)\s*rev\b",
        ),
    ),
)
