"""C#, compiled and run by Mono."""

from evolcoder.sandbox.language import Language, Requirement, Seal

SUFFIX = """
static class Check_NAME {
    static int n;
    public static void That(bool holds) {
        if (!holds) {
            System.Console.Error.WriteLine("REFUSED " + n + " failed");
            System.Environment.Exit(1);
        }
        n += 1;
    }
    public static void Done() { System.IO.File.WriteAllText("/dev/fd/3", "TOKEN " + n + "\\n"); }
}
"""
LANGUAGE = Language(
    name="csharp",
    file="main.cs",
    package="mono-mcs libmono-system-numerics4.0-cil",
    compiler=("mcs", "-nowarn:1717", "-d:DEBUG", "-r:System.Numerics", "-out:main.exe", "main.cs"),
    command=("mono", "main.exe"),
    seal=Seal(
        suffix=SUFFIX,
        check=r"^(\s*)Debug\.Assert\((.*)\);\s*$",
        check_replacement=r"\1Check_NAME.That(\2);",
        epilogue="    Check_NAME.Done();",
        closing_braces=2,
    ),
    requirements=(
        Requirement(
            name="System.Numerics",
            program="using System.Diagnostics; using System.Linq; using System.Numerics;\n"
            "using System.Security.Cryptography; class Probe { static void Main() {\n"
            "System.Console.WriteLine(new BigInteger(6 * 7)); } }",
            package="libmono-system-numerics4.0-cil",
            error_pattern=r"CS0006: .*System\.Numerics",
        ),
    ),
)
