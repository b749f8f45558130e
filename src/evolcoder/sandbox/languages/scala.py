"""Scala, compiled by scalac and run by Java, which starts three times as fast as `scala`."""

from evolcoder.sandbox.language import Language, Requirement, Seal

QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Takes less than half of the CPU time for programs that are compiled once and end soon."""
OBJECT = r"^(?:\w+[ \t]+)*object[ \t]+"
"""Start of an unindented object declaration; helper objects may precede the one with `main`."""
SUFFIX = """
object Check_NAME {
  private var n = 0
  def that(holds: Boolean): Unit = {
    if (!holds) { System.err.println(s"REFUSED $n failed"); Runtime.getRuntime.halt(1) }
    n += 1
  }
  def done(): Unit = {
    val out = new java.io.FileOutputStream("/dev/fd/3")
    out.write(s"TOKEN $n\\n".getBytes)
    out.close()
  }
}
"""
LANGUAGE = Language(
    name="scala",
    file="Main.scala",
    package="scala scala-library",
    compiler=("scalac", "-nowarn", "-d", ".", "Main.scala"),
    command=("java", *QUICK, "-cp", ".:/usr/share/java/scala-library.jar", "MAIN"),
    environment=(("JAVA_OPTS", " ".join(QUICK)),),
    main_pattern=rf"(?m){OBJECT}(\w+)(?:(?!{OBJECT})[\s\S])*?\bdef\s+main\b",
    seal=Seal(
        suffix=SUFFIX,
        check=r"^(\s*)assert\((.*)\);\s*$",
        check_replacement=r"\1Check_NAME.that(\2);",
        epilogue="    Check_NAME.done()",
        closing_braces=2,
    ),
    requirements=(
        Requirement(
            name="/usr/share/java/scala-library.jar",
            program="object Main { def main(a: Array[String]): Unit = println(6 * 7) }",
            package="scala-library",
            error_pattern=r"(?:NoClassDefFoundError|ClassNotFoundException): scala[/.]",
        ),
    ),
)
