"""What a command opens is closed with what was paid for in it."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack

from evolcoder.app.models import ModelFactory, OpenedModels
from evolcoder.config.load import Config
from evolcoder.engine.base import Message, Sampling
from evolcoder.engine.budget import Budget, Spending
from evolcoder.engine.scripted import ScriptedEngine


def test_the_last_answer_is_in_the_cache_when_the_stack_has_closed(tmp_path):
    """An answer that came right before the end is there at once, and needs no other to follow."""
    path = tmp_path / "completions.db"
    config = Config(cache=str(path))

    async def ask():
        async with AsyncExitStack() as stack:
            budget = Budget(config.budget, Spending())
            factory = ModelFactory(config, budget, {}, stack)
            opened = OpenedModels(ScriptedEngine(lambda _: "yes"), "m")
            role = factory.role(opened, Sampling(0.0, 1.0, 8), "")
            await role.ask((Message("user", "well?"),), seed=0)

    asyncio.run(ask())
    with contextlib.closing(sqlite3.connect(path)) as cache:
        assert cache.execute("SELECT text FROM completions").fetchall() == [("yes",)]


def test_there_is_room_for_as_many_connections_as_are_asked_for():
    """The soft limit rises as far as the hard one lets it, and never falls."""
    script = (
        "import resource, sys; from evolcoder.app.models import allow_connections;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1500));"
        "allow_connections(500); print(*resource.getrlimit(resource.RLIMIT_NOFILE));"
        "allow_connections(2000); print(*resource.getrlimit(resource.RLIMIT_NOFILE));"
        "allow_connections(1); print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == ["1012 1500", "1500 1500", "1500 1500"]
