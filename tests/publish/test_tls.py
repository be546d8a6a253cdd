"""Publishing and reading over TLS, on a server of the machine's own packages: the embedded one is built without."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from orchestration.publish import postgres
from orchestration.publish.catalog import Mart
from orchestration.settings import PROJECT_ROOT
from tests.publish.conftest import NOW, version_of

pytestmark = pytest.mark.slow
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
PAGE = PROJECT_ROOT / "docs/bi/publishing.md"


@dataclass(frozen=True)
class TlsServer:
    """A server that lets nobody in without TLS."""

    port: int
    certificate: Path

    def dsn(self, user: str, sslmode: str = "verify-full") -> str:
        """Return a connection string over TCP."""
        return make_conninfo(
            host="127.0.0.1",
            port=self.port,
            dbname="bi",
            user=user,
            password=f"{user}-for-tests",
            sslmode=sslmode,
            sslrootcert=str(self.certificate) if sslmode == "verify-full" else "",
        )


def make_certificate(folder: Path) -> None:
    """Write a certificate of 127.0.0.1, signed by itself, and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(pem)
    (folder / "server.key").chmod(0o600)


def documented(kind: str, start: str) -> str:
    """Return a block of the page on publishing."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (found,) = [block for word, block in blocks if word == kind and block.startswith(start)]
    return str(found)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """The server, set up by what the page on publishing says, on loopback."""
    if not PROGRAMS:
        pytest.skip("No PostgreSQL of the system under /usr/lib/postgresql: TLS is not tried.")
    programs, root = PROGRAMS[-1].parent, os.geteuid() == 0
    if root and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres.")
    # Not in pytest's folder, which is closed to other users.
    folder = Path(tmp_path_factory.mktemp("tls")) if not root else Path(tempfile.mkdtemp(prefix="bathtub-tls-"))
    data = folder / "data"
    user = "postgres" if root else None

    def run(*command: str | Path) -> None:
        # Its output goes nowhere: the server keeps it open.
        subprocess.run(
            [str(part) for part in command],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            user=user,
            group=user,
        )

    if root:
        shutil.chown(folder, "postgres", "postgres")
    try:
        run(programs / "initdb", "--auth=trust", "-U", "postgres", "-D", data)
        make_certificate(data)
        hba = documented("", "# type   database")
        hba = re.sub(r"(10\.0\.0\.5/32|10\.0\.0\.0/24|142\.251\.74\.0/23)", "127.0.0.1/32", hba)
        (data / "pg_hba.conf").write_text(f"local all postgres trust\n{hba}", encoding="utf-8")
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(documented("", "ssl = on"))
        if root:
            for name in ("server.crt", "server.key", "pg_hba.conf", "postgresql.conf"):
                shutil.chown(data / name, "postgres", "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        run(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            administrator = make_conninfo(host=str(folder), port=port, user="postgres", dbname="postgres")
            set_up(administrator)
            yield TlsServer(port, data / "server.crt")
        finally:
            run(programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def set_up(administrator: str) -> None:
    """Run the page's statements for an administrator, `psql`'s commands by what they do."""
    dsn = administrator
    for statement in re.findall(r"[^;\n]+;|\\[^\n]+", documented("sql", "create role publisher")):
        if statement.startswith("\\c "):
            dsn = make_conninfo(administrator, dbname=statement.split()[1])
        elif statement.startswith("\\password"):
            administer(dsn, "alter role publisher password 'publisher-for-tests'")
        else:
            administer(dsn, statement)


def administer(dsn: str, statement: str) -> None:
    """Run a statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_publishing_and_reading_over_tls_as_the_page_says(tls: TlsServer, marts: tuple[Mart, ...]) -> None:
    told = postgres.publish(tls.dsn("publisher"), lambda: version_of(marts, 1), NOW, lambda: 0, lambda _: None, 5)
    assert told.warnings == ()
    with psycopg.connect(tls.dsn("publisher"), autocommit=True) as publisher:
        publisher.execute("alter role bi_reader password 'bi_reader-for-tests'")
    with psycopg.connect(tls.dsn("bi_reader")) as reader:
        assert reader.pgconn.ssl_in_use
        assert reader.execute("select distinct definition_version from marts.flows_monthly").fetchall() == [("v1",)]


@pytest.mark.parametrize("user", ["publisher", "bi_reader"])
def test_a_connection_without_tls_is_refused(tls: TlsServer, user: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(tls.dsn(user, sslmode="disable"))


def test_a_server_with_another_certificate_is_refused(tls: TlsServer, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(make_conninfo(tls.dsn("publisher"), sslrootcert=str(tmp_path / "server.crt")))
