"""One toy base for all tests of this package."""

import pytest

import toy_model
from late import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """A toy is too small for several threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_base(tmp_path_factory):
    """A folder with a two-layer model and a byte-pair tokenizer."""
    return toy_model.make_base(tmp_path_factory.mktemp("toy") / "base")


@pytest.fixture(scope="session")
def tokenizer(toy_base):
    from evolcoder.training.base import load_tokenizer

    return load_tokenizer(str(toy_base))
