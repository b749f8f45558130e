"""Python source that nobody vouches for, read as a tree and never run.

>>> tree_of("x = 1") is None, tree_of("x = ") is None
(False, True)
"""

import ast
import warnings


def tree_of(code: str) -> ast.Module | None:
    """Parse Python without a word about its odd escapes; None if it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
