"""Java; assertions are on."""

from evolcoder.sandbox.language import Language, Seal

CODA = """
class Check_TOKEN {
    private static int n;
    static void that(boolean holds) {
        if (!holds) Runtime.getRuntime().halt(1);
        n += 1;
    }
    static void done() {
        try (var out = new java.io.FileOutputStream("/dev/fd/3")) {
            out.write(("TOKEN " + n + "\\n").getBytes());
        } catch (java.io.IOException error) {
            Runtime.getRuntime().halt(1);
        }
    }
}
"""
LANGUAGE = Language(
    name="java",
    file="Main.java",
    package="default-jdk-headless",
    compiler=("javac", "-nowarn", "-d", ".", "Main.java"),
    command=("java", "-ea", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", ".", "MAIN"),
    main=r"class\s+(\w+)(?:(?!\bclass\s)[\s\S])*?static\s+void\s+main\s*\(",
    seal=Seal(
        coda=CODA,
        check=r"^(\s*)assert\s*\((.*)\);\s*$",
        counted=r"\1Check_TOKEN.that(\2);",
        epilogue="    Check_TOKEN.done();",
        closers=2,
    ),
)
