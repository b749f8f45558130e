"""What a command opens is closed with what was paid for in it."""

import asyncio
import contextlib
import sqlite3
from contextlib import AsyncExitStack

from evolcoder.cli.session import Opened, Purse
from evolcoder.config import Config
from evolcoder.engine.base import Message, Sampling
from evolcoder.engine.meter import Meter, Spent
from evolcoder.engine.scripted import ScriptedEngine


def test_the_last_answer_is_in_the_cache_when_the_stack_has_closed(tmp_path):
    """An answer that came right before the end is there at once, and needs no other to follow."""
    path = tmp_path / "completions.db"
    config = Config(cache=str(path))

    async def ask():
        async with AsyncExitStack() as stack:
            meter = Meter(config.budget, Spent(), lambda *_: None)
            purse = Purse(config, meter, {}, stack)
            opened = Opened(ScriptedEngine(lambda _: "yes"), "m")
            role = purse.role(opened, Sampling(0.0, 1.0, 8), "")
            await role.ask((Message("user", "well?"),), seed=0)

    asyncio.run(ask())
    with contextlib.closing(sqlite3.connect(path)) as cache:
        assert cache.execute("SELECT text FROM completions").fetchall() == [("yes",)]
