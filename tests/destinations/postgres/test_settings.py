"""What `[destination.properties]` may say, and what becomes of it."""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.postgres.opening import session_on
from lockstitch import connectors
from lockstitch.core.errors import AccessError, SettingsError
from lockstitch.destinations.postgres.session import connection_text
from lockstitch.destinations.postgres.spec import Properties, refuse_impossible
from lockstitch.testing.postgres_server import PostgresDatabase, PostgresServer, ServerMissing, postgres_server

BASE: dict[str, Any] = {"host": "db.example.com", "username": "me", "password": "secret", "database": "shop"}


def _parse(**values: Any) -> Properties:
    connector = connectors.find_connector("destination", "postgres")
    return connectors.parse_properties(connector, {**BASE, **values})


def test_the_connect_apis_words_are_understood() -> None:
    parsed = _parse(port="5433", ssl="true", encryption_type="none", encryption_host=None)
    assert (parsed.port, parsed.ssl) == (5433, True)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"port": "port"}, "port cannot be 'port'"),
        ({"port": 70000}, "port cannot be 70000"),
        ({"ssl": "perhaps"}, "ssl cannot be 'perhaps'"),
        ({"encryption_type": "carrier pigeon"}, "encryption_type cannot be"),
        ({"user": "me"}, "user is no property"),
    ],
)
def test_a_wrong_setting_is_told(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        _parse(**values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"encryption_type": "ssh"}, "tunnels are not built yet"),
        ({"ssl": False, "sslrootcert": "/root.crt"}, "there would be no certificate to check"),
    ],
)
def test_what_cannot_be_done_is_refused_before_connecting(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        refuse_impossible(_parse(**values))


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ({}, "prefer"),
        ({"ssl": False}, "disable"),
        ({"ssl": True}, "require"),
        ({"sslrootcert": "/root.crt"}, "verify-full"),
        ({"ssl": True, "sslrootcert": "/root.crt"}, "verify-full"),
    ],
)
def test_what_ssl_means(values: dict[str, Any], mode: str) -> None:
    assert f"sslmode='{mode}'" in connection_text(_parse(**values), None)


def test_addresses_are_tried_in_turn_without_resolving_the_name(postgres: PostgresDatabase) -> None:
    name = "no-such-host.invalid"
    session_on(postgres, host=name, hostaddr="::1,127.0.0.1").close()
    with pytest.raises(AccessError, match=name):
        session_on(postgres, host=name)


def test_words_with_quotes_and_backslashes_reach_the_server_as_they_are(postgres: PostgresDatabase) -> None:
    word = 'it\'s a \\ "word" with = and ${x}'
    role = f"role_{secrets.token_hex(6)}"
    postgres.run(f"CREATE ROLE {role} LOGIN PASSWORD '{word.replace(chr(39), chr(39) * 2)}'")
    session_on(postgres, username=role, password=word).close()


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PostgresServer, Path]]:
    """A server that speaks TLS under the name 127.0.0.1, and its certificate. The wheel's server cannot."""
    folder = tmp_path_factory.mktemp("tls")
    try:
        with postgres_server(15) as server:
            certificate = _make_certificate(folder, server)
            server.stop()
            server.settings = {**server.settings, "ssl": "on"}
            server.start()
            yield server, certificate
    except ServerMissing as missing:
        pytest.skip(str(missing))


def _make_certificate(folder: Path, server: PostgresServer) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throw-away")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    data = server.folder / "data"
    owner = data.stat()
    for file, content in (("server.crt", text), ("server.key", private)):
        path = data / file
        path.write_bytes(content)
        path.chmod(0o600)
        os.chown(path, owner.st_uid, owner.st_gid)
    (folder / "root.crt").write_bytes(text)
    return folder / "root.crt"


@pytest.mark.parametrize("how", ["file", "text", "unchecked"])
def test_a_connection_is_encrypted(encrypted: tuple[PostgresServer, Path], how: str) -> None:
    server, certificate = encrypted
    checked: dict[str, dict[str, str]] = {
        "file": {"sslrootcert": str(certificate)},
        "text": {"sslrootcert": certificate.read_text()},
        "unchecked": {},
    }
    session = session_on(server.admin, ssl=True, **checked[how])
    assert session.rows("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
    session.close()


def test_a_server_that_is_another_is_refused(encrypted: tuple[PostgresServer, Path]) -> None:
    server, certificate = encrypted
    with pytest.raises(AccessError, match="does not match host name") as refused:
        session_on(server.admin, ssl=True, sslrootcert=str(certificate), host="localhost")
    assert "sslrootcert" in str(refused.value.hint)


def test_a_certificate_that_is_not_there_is_told(encrypted: tuple[PostgresServer, Path]) -> None:
    server, _ = encrypted
    with pytest.raises(AccessError, match="root certificate file"):
        session_on(server.admin, ssl=True, sslrootcert="/nowhere/root.crt")
