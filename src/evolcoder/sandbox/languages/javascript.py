"""JavaScript, run by Node; the seal keeps its own references, taken before the candidate runs."""

from evolcoder.sandbox.language import Language, Requirement, Seal

PROLOGUE = """const check_NAME = (() => {
  require("node:process")._eval = undefined;
  const { writeSync } = require("node:fs"), { deepEqual } = require("node:assert");
  let n = 0;
  return {
    equal(a, b) {
      try { deepEqual(a, b); }
      catch (error) { writeSync(2, `REFUSED ${n} failed\\n`); throw error; }
      n += 1;
    },
    done() { writeSync(3, `TOKEN ${n}\\n`); },
  };
})();
"""
SEAL = Seal(
    prologue=PROLOGUE,
    check=r"^(\s*)assert\.deepEqual\(",
    check_replacement=r"\1check_NAME.equal(",
    epilogue="check_NAME.done();",
)
ASSERT = Requirement(
    name="node:assert",
    program='require("node:assert").deepEqual([6 * 7], [42]); console.log("42");',
    package="nodejs",
    used_by=r"\bnode:assert\b",
)
LANGUAGE = Language(
    name="javascript",
    file="main.js",
    package="nodejs",
    command=("node", "main.js"),
    hidden=("node", "-"),
    seal=SEAL,
    requirements=(ASSERT,),
)
