"""Ruby; tests run before the end of the program instead of at exit."""

from evolcoder.sandbox.language import Language, Requirement, Seal

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
    requirements=(
        Requirement(
            name="test-unit",
            program='require "test/unit"\nTest::Unit::AutoRunner.need_auto_run = false\nputs 6 * 7',
            package="ruby-test-unit",
            used_by=r"\btest/unit\b",
        ),
    ),
)
