"""R; the whole program is parsed before it runs."""

from evolcoder.sandbox.language import Language, Requirement, Seal

PROLOGUE = """
seal_TOKEN <- new.env()
seal_TOKEN$n <- 0
check_TOKEN <- function(holds) {
  if (!isTRUE(holds)) {
    cat("TOKEN ", seal_TOKEN$n, " failed\\n", sep = "", file = stderr())
    quit("no", status = 1)
  }
  seal_TOKEN$n <- seal_TOKEN$n + 1
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
        counted=r"\1check_TOKEN(\2)",
        epilogue='cat("TOKEN ", seal_TOKEN$n, "\\n", sep = "", file = "/dev/fd/3")',
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
