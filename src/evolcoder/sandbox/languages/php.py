"""PHP."""

from evolcoder.sandbox.language import Language, Seal

PROLOGUE = """
function check_TOKEN(bool $holds): void {
    global $n_TOKEN;
    if (!$holds) { exit(1); }
    $n_TOKEN += 1;
}
$n_TOKEN = 0;
"""
LANGUAGE = Language(
    name="php",
    file="main.php",
    package="php-cli",
    command=("php", "main.php"),
    hidden=("php",),
    seal=Seal(
        prologue=PROLOGUE,
        after=r"\s*<\?php\b",
        check=r"^(\s*)if \((.*)\) \{ throw new Exception\(\"Test failed!\"\); \}\s*$",
        counted=r"\1check_TOKEN(!(\2));",
        epilogue="\\file_put_contents('php://fd/3', \"TOKEN $n_TOKEN\\n\");",
    ),
)
