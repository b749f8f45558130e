"""Perl."""

from evolcoder.sandbox.language import Language, Requirement, Seal

LANGUAGE = Language(
    name="perl",
    file="main.pl",
    package="perl libtest-deep-perl",
    command=("perl", "main.pl"),
    hidden=("perl", "-"),
    seal=Seal(
        prologue="$main::n_NAME = 0;\n",
        check=r'print "ok!" *\}else\{\s*exit 1;',
        check_replacement=(
            r'$main::n_NAME += 1; print "ok!" }else{ '
            r'syswrite(STDERR, "REFUSED $main::n_NAME failed\\n"); exit 1;'
        ),
        epilogue='open(my $done, ">&=", 3); syswrite($done, "TOKEN $main::n_NAME\\n");',
    ),
    requirements=(
        Requirement(
            name="Test::Deep",
            program="use Test::Deep;\nprint eq_deeply([6 * 7], [42]) ? 42 : 0;",
            package="libtest-deep-perl",
            used_by=r"\bTest::Deep\b",
        ),
    ),
)
