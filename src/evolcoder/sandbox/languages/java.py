"""Java; assertions are enabled, and tuples come from javatuples, as in MultiPL-E's prompts."""

from evolcoder.sandbox.language import Language, Requirement, Seal

QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Takes two thirds of the CPU time for programs that are compiled once and end soon."""
CLASS = r"^(?:\w+[ \t]+)*class[ \t]+"
"""Start of an unindented class declaration, which excludes nested classes and comments."""
CLASSES = ".:/usr/share/java/javatuples.jar"
SUFFIX = """
class Check_NAME {
    private static int n;
    static void that(boolean holds) {
        if (!holds) {
            System.err.println("REFUSED " + n + " failed");
            Runtime.getRuntime().halt(1);
        }
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
    package="default-jdk-headless libjavatuples-java",
    compiler=(
        "javac",
        *(f"-J{word}" for word in QUICK),
        "-nowarn",
        "-cp",
        CLASSES,
        "-d",
        ".",
        "Main.java",
    ),
    command=("java", "-ea", *QUICK, "-cp", CLASSES, "MAIN"),
    main_pattern=rf"(?m){CLASS}(\w+)(?:(?!{CLASS})[\s\S])*?static\s+void\s+main\s*\(",
    seal=Seal(
        suffix=SUFFIX,
        check=r"^(\s*)assert\s*\((.*)\);\s*$",
        check_replacement=r"\1Check_NAME.that(\2);",
        epilogue="    Check_NAME.done();",
        closing_braces=2,
    ),
    requirements=(
        Requirement(
            name="javatuples",
            program="import org.javatuples.*; class Main { public static void main(String[] a) {\n"
            "System.out.println(Pair.with(6 * 7, 0).getValue0()); } }",
            package="libjavatuples-java",
            used_by=r"\borg\.javatuples\b",
        ),
    ),
)
