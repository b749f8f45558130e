"""Ruby; tests run before the end of the program instead of behind it."""

from evolcoder.sandbox.language import Language, Seal

LANGUAGE = Language(
    name="ruby",
    file="main.rb",
    package="ruby ruby-test-unit",
    command=("ruby", "main.rb"),
    hidden=("ruby", "-"),
    seal=Seal(
        failed=r"\b[1-9]\d* failures",
        epilogue=(
            "Test::Unit::AutoRunner.need_auto_run = false\n"
            "exit!(1) unless Test::Unit::AutoRunner.run\n"
            'IO.for_fd(3).syswrite("TOKEN 1\\n")\n'
            "exit!(0)"
        ),
    ),
)
