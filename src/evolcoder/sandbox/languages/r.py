"""R; the whole program is parsed before it runs."""

from evolcoder.sandbox.language import Language, Requirement, Seal

PROLOGUE = """
seal_NAME <- new.env()
seal_NAME$n <- 0
check_NAME <- function(holds) {
  if (!isTRUE(holds)) {
    cat("REFUSED ", seal_NAME$n, " failed\\n", sep = "", file = stderr())
    quit("no", status = 1)
  }
  seal_NAME$n <- seal_NAME$n + 1
}
"""
LANGUAGE = Language(
    name="r",
    file="main.R",
    package="r-base-core",
    command=("Rscript", "--vanilla", "main.R"),
    hidden=("Rscript", "--vanilla", "-e", 'source(file("stdin"), keep.source = FALSE)'),
    seal=Seal(
        prologue=PROLOGUE,
        check=r"^(\s*)stopifnot\((.*)\)\s*$",
        check_replacement=r"\1check_NAME(\2)",
        epilogue='cat("TOKEN ", seal_NAME$n, "\\n", sep = "", file = "/dev/fd/3")',
    ),
    requirements=(
        Requirement(
            name="set of base packages (methods, stats, utils)",
            program="library(methods); library(stats); library(utils)\n"
            "stopifnot(isTRUE(all.equal(6 * 7, 42)))\ncat(6 * 7)",
            package="r-base-core",
        ),
    ),
)
