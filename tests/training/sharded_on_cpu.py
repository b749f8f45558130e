"""`evolcoder` in a process of a training that shards weights without a GPU.

Accelerate shards on accelerators only; here it takes processes on the CPU for some of another kind.
"""

import sys

from accelerate import state


class Kinds:
    """The kinds of distributed trainings, one of which stands for the CPU."""

    real = state.DistributedType

    def __getattr__(self, name):
        return getattr(self.real, "MULTI_CPU" if name == "MULTI_SDAA" else name)


state.DistributedType = Kinds()

from evolcoder.cli.main import _end as end  # noqa: E402
from evolcoder.cli.main import main  # noqa: E402 - after the change

if __name__ == "__main__":
    end(main(sys.argv[1:]))
