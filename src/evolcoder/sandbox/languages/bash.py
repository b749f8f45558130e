"""Bash; the seal is made of keywords, which no function of the candidate's can replace."""

from evolcoder.sandbox.language import Language, Seal

LANGUAGE = Language(
    name="bash",
    file="main.sh",
    package="bash",
    command=("bash", "main.sh"),
    hidden=("bash", "-c", 'eval "$(cat)"'),
    seal=Seal(
        check=r"^(\s*)(\[\[ .* \]\])\s*$",
        counted=(
            r"\1if \2; then ((n_NAME += 1)); "
            r'else printf "REFUSED %d failed\\n" "$n_NAME" >&2; false; fi'
        ),
        epilogue='printf "TOKEN %d\\n" "$n_NAME" >&3',
    ),
)
