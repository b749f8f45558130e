"""R; the whole program is parsed before it runs."""

from evolcoder.sandbox.language import Language, Seal

LANGUAGE = Language(
    name="r",
    file="main.R",
    package="r-base-core",
    command=("Rscript", "--vanilla", "main.R"),
    hidden=("Rscript", "--vanilla", "-e", 'source(file("stdin"), keep.source = FALSE)'),
    seal=Seal(epilogue='cat("TOKEN 1\\n", file = "/dev/fd/3")'),
)
