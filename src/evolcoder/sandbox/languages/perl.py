"""Perl."""

from evolcoder.sandbox.language import Language, Seal

LANGUAGE = Language(
    name="perl",
    file="main.pl",
    package="perl libtest-deep-perl",
    command=("perl", "main.pl"),
    hidden=("perl", "-"),
    seal=Seal(epilogue='open(my $done, ">&=", 3); syswrite($done, "TOKEN 1\\n");'),
)
