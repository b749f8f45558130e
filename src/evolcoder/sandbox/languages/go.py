"""Go; a program with tests or without a main function is run by `go test`'s own means.

C is out of reach, since its compiler could include the source; Go's own `embed` takes no links.

From 1.20 on Go comes without its library compiled, which each cell would do anew: 10 s and 130 MB.
"""

from evolcoder.sandbox.language import Language, Main, Requirement, Seal

TMP = "/tmp"  # noqa: S108 - the cell's own
CODA = """
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
        seen=r"(?ms)\A(?!.*^func Test).*^package main\b.*^func main\(\)",
        file="main.go",
        arguments=("build", "-o", "main", "main.go"),
    ),
    is_linked=True,
    command=("./main",),
    seal=Seal(
        prologue='import os_NAME "os"\n',
        after=r"\s*package \w+[^\n]*\n",
        coda=CODA,
        failed=r"^--- FAIL(?![\s\S]*^panic:)",
    ),
    environment=(
        ("GOCACHE", f"{TMP}/go"),
        ("GOPATH", f"{TMP}/gopath"),
        ("GO111MODULE", "off"),
        ("CGO_ENABLED", "0"),
        ("GODEBUG", "installgoroot=all"),
    ),
    once=(
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
