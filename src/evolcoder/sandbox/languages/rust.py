"""Rust; assertions use their full path, which no macro of the candidate can shadow.

A hidden program is a single codegen unit, so that it cannot embed another unit's object file.
"""

from evolcoder.sandbox.language import Language, Requirement, Seal

SUFFIX = """
mod check_NAME {
    static N: ::std::sync::atomic::AtomicUsize = ::std::sync::atomic::AtomicUsize::new(0);
    pub fn count() { N.fetch_add(1, ::std::sync::atomic::Ordering::SeqCst); }
    pub fn done() {
        let n = N.load(::std::sync::atomic::Ordering::SeqCst);
        ::std::fs::write("/dev/fd/3", ::std::format!("TOKEN {}\\n", n)).unwrap();
    }
}
"""
LANGUAGE = Language(
    name="rust",
    file="main.rs",
    package="rustc gcc libc6-dev",
    compiler=("rustc", "--edition", "2021", "-C", "opt-level=1", "-o", "main", "main.rs"),
    stdin_arguments=(
        *("--edition", "2021", "-C", "opt-level=1", "-C", "codegen-units=1"),
        *("--crate-name", "main", "-o", "main", "-"),
    ),
    command=("./main",),
    seal=Seal(
        suffix=SUFFIX,
        check=r"^(\s*)assert(_eq|)!\((.*)\);\s*$",
        check_replacement=r"\1::std::assert\2!(\3); check_NAME::count();",
        epilogue="    check_NAME::done();",
        closing_braces=1,
        failed=r"^assertion .*failed",
    ),
    requirements=(
        Requirement(
            name="linker (cc) with the C library",
            program='fn main() { println!("{}", 6 * 7); }',
            package="gcc libc6-dev",
            error_pattern=r"linker `\w+` not found|\bcrt1\.o\b|cannot find -l\w+",
        ),
        Requirement(
            name="standard library",
            program="use std::collections::HashMap; fn main() {\n"
            'println!("{}", 42 + HashMap::<i8, i8>::new().len()); }',
            package="rustc",
            error_pattern=r"can't find crate for `(?:std|core)`",
        ),
    ),
)
