"""Go; a program with tests or without a main function is built by `go test`.

cgo is off, since a C compiler could include the source; Go's own `embed` follows no links.

Since 1.20, Go's standard library is not precompiled; each program would compile it: 10 s, 130 MB.
"""

from evolcoder.sandbox.language import Language, Main, Requirement, Seal

TMP = "/tmp"  # noqa: S108 - private to each program
SUFFIX = """
func TestMain(m *testing.M) {
    code := m.Run()
    if code == 0 {
        done := []byte("TOKEN 1\\n")
        file := os_NAME.NewFile(3, "answers")
        file.Write(done)
    }
    os_NAME.Exit(code)
}
"""
LANGUAGE = Language(
    name="go",
    file="main_test.go",
    package="golang-go",
    compiler=("go", "test", "-c", "-o", "main", "main_test.go"),
    with_main=Main(
        pattern=r"(?ms)\A(?!.*^func Test).*^package main\b.*^func main\(\)",
        file="main.go",
        arguments=("build", "-o", "main", "main.go"),
    ),
    is_linked=True,
    command=("./main",),
    seal=Seal(
        prologue='import os_NAME "os"\n',
        prologue_after=r"\s*package \w+[^\n]*\n",
        suffix=SUFFIX,
        failed=r"^--- FAIL(?![\s\S]*^panic:)",
    ),
    environment=(
        ("GOCACHE", f"{TMP}/go"),
        ("GOPATH", f"{TMP}/gopath"),
        ("GO111MODULE", "off"),
        ("CGO_ENABLED", "0"),
        ("GODEBUG", "installgoroot=all"),
    ),
    post_install=(
        'find "$(go env GOROOT)/pkg/" -name fmt.a | grep -q . ||'
        " { go install std && go clean -cache; }"
    ),
    file_mb=256,
    requirements=(
        Requirement(
            name="compiled standard library",
            program='package main\nimport ("fmt"; "os"; "path/filepath"; "runtime"; "testing")\n'
            "var _ testing.TB\nfunc main() {\n"
            '    found, _ := filepath.Glob(filepath.Join(runtime.GOROOT(), "pkg", "*", "fmt.a"))\n'
            "    if len(found) == 0 { os.Exit(1) }\n    fmt.Println(6 * 7)\n}",
            package="golang-go",
            remedy="run `make toolchains`, or `GODEBUG=installgoroot=all go install std`",
        ),
    ),
)
