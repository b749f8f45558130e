"""Scala."""

from evolcoder.sandbox.language import Language, Seal

CODA = """
object Check_TOKEN {
  private var n = 0
  def that(holds: Boolean): Unit = { if (!holds) Runtime.getRuntime.halt(1); n += 1 }
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
    command=("scala", "-cp", ".", "MAIN"),
    main=r"object\s+(\w+)",
    seal=Seal(
        coda=CODA,
        check=r"^(\s*)assert\((.*)\);\s*$",
        counted=r"\1Check_TOKEN.that(\2);",
        epilogue="    Check_TOKEN.done()",
        closers=2,
    ),
)
