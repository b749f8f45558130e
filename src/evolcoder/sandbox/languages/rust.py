"""Rust; assertions are named by their full path, which no macro of the candidate's can shadow."""

from evolcoder.sandbox.language import Language, Seal

CODA = """
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
    package="rustc",
    compiler=("rustc", "--edition", "2021", "-C", "opt-level=1", "-o", "main", "main.rs"),
    command=("./main",),
    seal=Seal(
        coda=CODA,
        check=r"^(\s*)assert(_eq|)!\((.*)\);\s*$",
        counted=r"\1::std::assert\2!(\3); check_NAME::count();",
        epilogue="    check_NAME::done();",
        closers=1,
        failed=r"^assertion .*failed",
    ),
)
