"""Racket; a failed check does not end a program, so the seal reads rackunit's log of checks."""

from evolcoder.sandbox.language import Language, Requirement, Seal

EPILOGUE = """
(require rackunit/log)
(let ([found (test-log)])
  (unless (zero? (car found))
    (exit 1))
  (when (positive? (cdr found))
    (call-with-output-file "/dev/fd/3" #:exists 'append
      (lambda (out) (write-string "TOKEN 1\\n" out)))))
"""
LANGUAGE = Language(
    name="racket",
    file="main.rkt",
    package="racket",
    command=("racket", "main.rkt"),
    hidden=("racket", "/dev/stdin"),
    seal=Seal(epilogue=EPILOGUE, failed=r"^FAILURE"),
    requirements=(
        Requirement(
            name="rackunit",
            program="#lang racket\n(require rackunit rackunit/log)\n"
            "(check-within (* 6 7) 42 0.001)\n(display (* 6 7))",
            package="racket",
            used_by=r"\brackunit\b",
        ),
    ),
)
