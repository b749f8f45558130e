"""Limits of the system for a while, for tests of what meets them."""

import resource
from contextlib import contextmanager


@contextmanager
def limited(what, most):
    """Lower a limit of this process, and give it back."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def limited_files(n_bytes):
    """Let no file grow beyond so many bytes, as on a disk that is full."""
    return limited(resource.RLIMIT_FSIZE, n_bytes)
