"""PHP, with extensions that official builds compile in and Debian's build does not."""

from evolcoder.sandbox.language import Language, Requirement, Seal

PROLOGUE = """
function check_NAME(bool $holds): void {
    global $n_NAME;
    if (!$holds) {
        \\file_put_contents('php://stderr', "REFUSED $n_NAME failed\\n");
        exit(1);
    }
    $n_NAME += 1;
}
$n_NAME = 0;
"""
SETTINGS = (
    *("-n", "-d", "display_startup_errors=0", "-d", "display_errors=stderr"),
    *("-d", "log_errors=0"),
    *(word for name in ("ctype", "iconv", "mbstring") for word in ("-d", f"extension={name}")),
)
LANGUAGE = Language(
    name="php",
    file="main.php",
    package="php-cli php-mbstring php-common",
    command=("php", *SETTINGS, "main.php"),
    hidden=("php", *SETTINGS),
    seal=Seal(
        prologue=PROLOGUE,
        prologue_after=r"\s*<\?php\b",
        check=r"^(\s*)if \((.*)\) \{ throw new Exception\(\"Test failed!\"\); \}\s*$",
        check_replacement=r"\1check_NAME(!(\2));",
        epilogue="\\file_put_contents('php://fd/3', \"TOKEN $n_NAME\\n\");",
    ),
    requirements=(
        Requirement(
            name="mbstring",
            program="<?php echo mb_strlen(str_repeat('x', 42));",
            package="php-mbstring",
            used_by=r"\bmb_\w+\s*\(",
        ),
        Requirement(
            name="ctype or iconv",
            program="<?php echo ctype_digit(iconv('UTF-8', 'UTF-8', '42')) ? 42 : 0;",
            package="php-common",
            used_by=r"\b(?:ctype|iconv)\w*\s*\(",
        ),
    ),
)
