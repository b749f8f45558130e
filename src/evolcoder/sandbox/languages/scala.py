"""Scala, compiled by scalac and run by Java itself, which starts three times as fast as `scala`."""

from evolcoder.sandbox.language import Language, Seal

QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Less than half of the processor time for programs that are compiled once and end soon."""
OBJECT = r"^(?:\w+[ \t]+)*object[ \t]+"
"""The head of an object at the margin; helpers may stand before the one that has main."""
CODA = """
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
    package="scala",
    compiler=("scalac", "-nowarn", "-d", ".", "Main.scala"),
    command=("java", *QUICK, "-cp", ".:/usr/share/java/scala-library.jar", "MAIN"),
    environment=(("JAVA_OPTS", " ".join(QUICK)),),
    main=rf"(?m){OBJECT}(\w+)(?:(?!{OBJECT})[\s\S])*?\bdef\s+main\b",
    seal=Seal(
        coda=CODA,
        check=r"^(\s*)assert\((.*)\);\s*$",
        counted=r"\1Check_NAME.that(\2);",
        epilogue="    Check_NAME.done()",
        closers=2,
    ),
)
