from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import SecuritySettings
from driftline.producers.security import security_options


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-out", str(cert), "-keyout", str(key)],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_tls_is_new_enough_and_checks_the_brokers_name(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    options = security_options(SecuritySettings(protocol="SSL", ca_file=str(cert), cert_file=str(cert), key_file=str(key)), {})
    context = options["ssl_context"]
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert [dict(field for (field,) in ca["subject"])["commonName"] for ca in context.get_ca_certs()] == ["test"]
    assert set(options) == {"security_protocol", "ssl_context"}


def test_the_password_comes_from_a_file_or_else_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret \n")
    settings = SecuritySettings(protocol="SASL_SSL", username="u", password_file=str(tmp_path / "password"))
    options = security_options(settings, {"DRIFTLINE_KAFKA_PASSWORD": "other"})
    assert (options["sasl_plain_username"], options["sasl_plain_password"], options["sasl_mechanism"]) == ("u", "s3cret ", "SCRAM-SHA-512")
    assert isinstance(options["ssl_context"], ssl.SSLContext)
    bare = SecuritySettings(protocol="SASL_SSL", username="u", mechanism="PLAIN")
    assert security_options(bare, {"DRIFTLINE_KAFKA_PASSWORD": "other"})["sasl_plain_password"] == "other"


def test_a_password_shows_in_no_repr() -> None:
    from driftline.contracts.security import open_security

    settings = SecuritySettings(protocol="SASL_SSL", username="u")
    opened = open_security(settings, {"DRIFTLINE_KAFKA_PASSWORD": "s3cret"})
    assert opened.password == "s3cret"
    assert "s3cret" not in repr(opened) + str(opened) + repr(settings)


def test_an_open_line_carries_credentials_only_where_that_is_meant() -> None:
    environment = {"DRIFTLINE_KAFKA_PASSWORD": "p"}
    with pytest.raises(SettingsError, match="allow_sasl_plaintext"):
        security_options(SecuritySettings(protocol="SASL_PLAINTEXT", username="u"), environment)
    options = security_options(SecuritySettings(protocol="SASL_PLAINTEXT", username="u", allow_sasl_plaintext=True), environment)
    assert "ssl_context" not in options


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ca_file": "missing.pem"}, "ca_file"),
        ({"ca_file": "junk"}, "ca_file"),
        ({"cert_file": "missing.pem"}, "cert_file"),
        ({"cert_file": "junk"}, "cert_file"),
        ({"protocol": "SASL_SSL"}, "username"),
        ({"protocol": "SASL_SSL", "username": "u"}, "password_file"),
        ({"protocol": "SASL_SSL", "username": "u", "password_file": "missing"}, "password_file"),
        ({"protocol": "SASL_SSL", "username": "u", "password_file": "empty"}, "password_file"),
    ],
)
def test_what_can_not_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], field: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("junk").write_text("junk")
    Path("empty").write_text("\n")
    with pytest.raises(SettingsError) as caught:
        security_options(SecuritySettings(**{"protocol": "SSL", **changes}), {})  # type: ignore[arg-type]
    assert caught.value.field == f"kafka.security.{field}"


def test_a_key_that_asks_for_a_pass_phrase_does_not_hang(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    locked = tmp_path / "locked.pem"
    subprocess.run(["openssl", "rsa", "-aes256", "-passout", "pass:x", "-in", str(key), "-out", str(locked)], check=True, capture_output=True)
    with pytest.raises(SettingsError, match="not encrypted"):
        security_options(SecuritySettings(protocol="SSL", cert_file=str(cert), key_file=str(locked)), {})
