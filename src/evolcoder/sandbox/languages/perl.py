"""Perl."""

from evolcoder.sandbox.language import Language, Seal

LANGUAGE = Language(
    name="perl",
    file="main.pl",
    package="perl libtest-deep-perl",
    command=("perl", "main.pl"),
    hidden=("perl", "-"),
    seal=Seal(
        prologue="$main::n_NAME = 0;\n",
        check=r'print "ok!" *\}else\{\s*exit 1;',
        counted=(
            r'$main::n_NAME += 1; print "ok!" }else{ '
            r'syswrite(STDERR, "REFUSED $main::n_NAME failed\\n"); exit 1;'
        ),
        epilogue='open(my $done, ">&=", 3); syswrite($done, "TOKEN $main::n_NAME\\n");',
    ),
)
