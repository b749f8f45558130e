"""Go; a program with tests or without a main function is run by `go test`'s own means.

From 1.20 on Go comes without its library compiled, which each cell would do anew: 10 s and 130 MB.
"""

from evolcoder.sandbox.language import Language, Main, Seal

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
        ("GODEBUG", "installgoroot=all"),
    ),
    once=(
        'find "$(go env GOROOT)/pkg/" -name fmt.a | grep -q . ||'
        " { go install std && go clean -cache; }"
    ),
    file_mb=256,
)
