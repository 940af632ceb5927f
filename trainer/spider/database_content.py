"""What a database holds, as a hash: the same for two files of one content, whatever wrote them."""

import contextlib
import hashlib
import sqlite3
from pathlib import Path

from trainer.spider.schema import quoted
from trainer.study.identity import sampled_hash

_MOST_BYTES = 256 << 20  # of a file that is read whole
_TABLES = """
    SELECT name FROM sqlite_master
    WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name
"""


def content_hash(*databases: Path) -> str:
    """sha256 of tables, columns with their declared types, and rows in the order in which a query returns them.

    What is larger than 256 MiB, or cannot be read, is told apart by its bytes (``sampled_hash``). Indexes, views and
    free pages decide no answer.
    """
    digest = hashlib.sha256()
    for database in databases:
        digest.update(_content(database))
    return digest.hexdigest()


def _content(database: Path) -> bytes:
    if database.stat().st_size > _MOST_BYTES:
        return sampled_hash([database]).encode()
    digest = hashlib.sha256()
    uri = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            # Texts may be in another encoding than the file says.
            connection.text_factory = bytes
            connection.execute("PRAGMA trusted_schema = OFF")
            for (name,) in connection.execute(_TABLES).fetchall():
                table = quoted(name.decode())
                columns = connection.execute(f"PRAGMA table_info({table})")
                digest.update(repr([name, *(column[1:3] for column in columns)]).encode())
                for row in connection.execute(f"SELECT * FROM {table}"):
                    digest.update(repr(row).encode())
    except (sqlite3.Error, UnicodeDecodeError):
        return sampled_hash([database]).encode()
    return digest.digest()
