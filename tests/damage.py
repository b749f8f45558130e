"""Ways in which a SQLite file can be damaged or hostile, for tests of whatever opens one."""

import os
import random
import socket
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

DEEP = "[" * 100_000


def sql(*statements, values=()):
    """Run statements on the database, its constraints set aside."""

    def damage(path):
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement, [v() if isinstance(v, PackedZeros) else v for v in values])

    return damage


def unconstrained(statement, *values):
    """Run a statement as if no column were NOT NULL or UNIQUE, and give the schema back."""

    def damage(path):
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            before = db.execute(
                "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
            ).fetchall()
            set_schema(db, [(text.replace(" NOT NULL", ""), name) for name, text in before])
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(statement, values)
            set_schema(db, [(text, name) for name, text in before])

    return damage


def set_schema(db, rows):
    db.execute("PRAGMA writable_schema=ON")
    db.executemany("UPDATE sqlite_schema SET sql=? WHERE name=?", rows)
    (version,) = db.execute("PRAGMA schema_version").fetchone()
    db.execute(f"PRAGMA schema_version={version + 1}")


def in_place_of_the_file(make):
    """Put something else where the database was."""

    def damage(path):
        path.unlink()
        make(path)

    return damage


def changed(change):
    """Change the file's bytes."""

    def damage(path):
        path.write_bytes(change(bytearray(path.read_bytes())))

    return damage


def flipped(seed):
    """Flip bits all over the pages behind the first one, which holds the schema."""

    def change(data):
        rng = random.Random(seed)
        for start in range(4096, len(data), 4096):
            data[start] ^= 1 << rng.randrange(8)  # what kind of page it is
        for start in range(4096, len(data), 64):
            for _ in range(4):
                data[start + rng.randrange(64)] ^= 1 << rng.randrange(8)
        return data

    return changed(change)


def at(position, value):
    def change(data):
        data[position : position + len(value)] = value
        return data

    return changed(change)


def beside(suffix, make):
    """Put something next to the database."""

    def damage(path):
        make(path.with_name(f"{path.name}{suffix}"))

    return damage


def make_socket(path):
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with closing(socket.socket(socket.AF_UNIX)) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def other_program(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)")


def foreign_log(path):
    """Leave the log of another database next to this one, valid in itself."""
    other = path.with_name("other.db")
    db = sqlite3.connect(other, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    for n in range(5):
        db.execute(f"CREATE TABLE t{n} (x)")
    path.with_name(f"{path.name}-wal").write_bytes(other.with_name("other.db-wal").read_bytes())
    db.close()
    for one in path.parent.glob("other.db*"):
        one.unlink()


def journal_of(victim):
    """Make the bytes of a rollback journal that has SQLite delete another file."""
    magic = bytes.fromhex("d9d505f920a163d7")
    name = os.fsencode(victim)
    head = magic + b"\0\0\0\0" + b"\0" * 8 + (1).to_bytes(4, "big")
    head += (512).to_bytes(4, "big") + (4096).to_bytes(4, "big")
    page = (1 << 30).to_bytes(4, "big")
    tail = page + name + len(name).to_bytes(4, "big")
    tail += (sum(name) & 0xFFFFFFFF).to_bytes(4, "big") + magic
    return head.ljust(512, b"\0") + tail


def packed(data):
    """Compress bytes as the references' answers are."""
    return zlib.compress(data)


class PackedZeros:
    """So many zero bytes, compressed when they are called for; they take seconds."""

    def __init__(self, n):
        self._n = n

    def __call__(self):
        packer = zlib.compressobj()
        pieces = [packer.compress(bytes(1 << 20)) for _ in range(self._n >> 20)]
        return b"".join(pieces) + packer.flush()


ANY = {
    "zero bytes": changed(lambda data: data[:0]),
    "a text file": changed(lambda _: b"These are no rows.\n" * 500),
    "random bytes": changed(lambda data: random.Random(0).randbytes(len(data))),
    "half of it": changed(lambda data: data[: len(data) // 2]),
    "the header alone": changed(lambda data: data[:100]),
    "a page less": changed(lambda data: data[:-4096]),
    "another page size": at(16, b"\x02\x00"),
    "an impossible page size": at(16, b"\x12\x34"),
    "another file format": at(18, b"\x09\x09"),
    "another text encoding": at(56, b"\0\0\0\x07"),
    "the schema overwritten": at(100, b"\xff" * 3000),
    "a folder": in_place_of_the_file(lambda path: path.mkdir()),
    "a pipe": in_place_of_the_file(os.mkfifo),
    "a socket": in_place_of_the_file(make_socket),
    "a link to a device": in_place_of_the_file(lambda path: path.symlink_to("/dev/zero")),
    "a link to nothing": in_place_of_the_file(lambda path: path.symlink_to("/nowhere/at/all.db")),
    "a later version": sql("PRAGMA user_version=99"),
    "a version below none": sql("PRAGMA user_version=-3"),
    "the mark of another program": sql("PRAGMA application_id=7"),
    "another program's": in_place_of_the_file(other_program),
    "a pipe as log": beside("-wal", os.mkfifo),
    "a folder as log": beside("-wal", lambda path: path.mkdir()),
    "a link as log": beside("-wal", lambda path: path.symlink_to("/etc/passwd")),
    "a link as the log's index": beside("-shm", lambda path: path.symlink_to("/etc/passwd")),
    "a pipe as journal": beside("-journal", os.mkfifo),
    "a journal that names a file": beside(
        "-journal", lambda path: path.write_bytes(journal_of("/nowhere/at/all"))
    ),
    **{f"flipped bytes {seed}": flipped(seed) for seed in range(4)},
}
"""Name -> what is done to a file of any schema; each is to be told, whatever opens it."""
HARMLESS = {
    "a log of garbage": beside("-wal", lambda path: path.write_bytes(b"garbage" * 1000)),
    "an empty log": beside("-wal", lambda path: path.touch()),
    "an index of garbage": beside("-shm", lambda path: path.write_bytes(b"\xff" * 32768)),
    "a journal of garbage": beside("-journal", lambda path: path.write_bytes(b"garbage" * 1000)),
}
"""What SQLite itself knows to leave aside."""


def of_table(table, column):
    """Return damages of one table that can hold rows."""
    return {
        f"no table {table}": sql(f"DROP TABLE {table}"),
        f"{table} is a view": sql(
            f"ALTER TABLE {table} RENAME TO hidden",
            f"CREATE VIEW {table} AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
            " SELECT hidden.* FROM hidden, n",
        ),
        f"a trigger on {table}": sql(
            f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END"
        ),
        f"a column more in {table}": sql(f"ALTER TABLE {table} ADD COLUMN more TEXT"),
        f"a generated column in {table}": sql(
            f"ALTER TABLE {table} ADD COLUMN more TEXT AS (hex(zeroblob(100000000))) VIRTUAL"
        ),
        f"{table} lacks {column}": sql(f"ALTER TABLE {table} RENAME COLUMN {column} TO other"),
    }


def of_text(table, column):
    """Return damages of a column that holds text."""
    update = f"UPDATE {table} SET {column}=?"
    return {
        f"{table}.{column} a blob": unconstrained(update, b"\x00\x01"),
        f"{table}.{column} nothing": unconstrained(update, None),
        f"{table}.{column} not UTF-8": unconstrained(
            f"UPDATE {table} SET {column}=CAST(x'ff41fe' AS TEXT)"
        ),
    }


def of_count(table, column):
    """Return damages of a column that holds a count."""
    update = f"UPDATE OR REPLACE {table} SET {column}=?"
    return {
        f"{table}.{column} a text": unconstrained(update, "many"),
        f"{table}.{column} a blob": unconstrained(update, b"\x01"),
        f"{table}.{column} below zero": unconstrained(update, -1),
        f"{table}.{column} 2^62": unconstrained(update, 1 << 62),
        f"{table}.{column} 2^63": unconstrained(
            f"UPDATE OR REPLACE {table} SET {column}=9223372036854775808"
        ),
        f"{table}.{column} half": unconstrained(update, 0.5),
    }


def of_json(table, column, where="1"):
    """Return damages of a column that holds a JSON object."""
    update = f"UPDATE {table} SET {column}=? WHERE {where}"
    wrong = {
        "cut off": '{"a": ', "deep": DEEP, "a list": "[1, 2]", "a long number": "9" * 10_000,
        "a text": '"text"', "not JSON": "{'a': 1}", "empty": "",
    }  # fmt: skip
    return {f"{table}.{column} {name}": sql(update, values=(text,)) for name, text in wrong.items()}
