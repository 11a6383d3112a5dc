"""A broker with TLS, SASL and client certificates, and the authority that signs for them all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import UserScramCredentialUpsertion

from driftline.cli.kafka_local import start_broker, stop_broker
from driftline.cli.ports import free_port
from driftline.contracts.settings import KafkaSettings, SecuritySettings

USER, PASSWORD = "alice", "correct-horse-battery"


@dataclass(frozen=True)
class Secured:
    """Where the secured broker listens, by listener, and the folder with the keys."""

    folder: Path
    ports: dict[str, int]

    def kafka(self, listener: str, *, host: str = "localhost", prefix: str = "", **security: Any) -> KafkaSettings:
        """The settings that reach ``listener`` (TLS, SASL or MTLS); ``security`` changes them."""
        known: dict[str, Any] = {"ca_file": str(self.folder / "ca.pem"), "protocol": "SASL_SSL" if listener == "SASL" else "SSL"}
        if listener == "SASL":
            known |= {"username": USER, "password_file": str(self.folder / "password")}
        if listener == "MTLS":
            known |= {"cert_file": str(self.folder / "client.pem"), "key_file": str(self.folder / "client.key")}
        changed = {name: value for name, value in (known | security).items() if value is not None}
        servers = f"{host}:{self.ports[listener]}"
        return KafkaSettings(bootstrap_servers=servers, topic_prefix=prefix, partitions=2, security=SecuritySettings(**changed))


@contextmanager
def secured_broker(folder: Path) -> Iterator[Secured]:
    """Start it, and stop it at the end. Its certificate says ``localhost``, and nothing else."""
    authority(folder, "ca")
    authority(folder, "other")
    signed(folder, "broker", "localhost")
    signed(folder, "client", "driftline")
    (folder / "broker.keys").write_text((folder / "broker.key").read_text() + (folder / "broker.pem").read_text())
    (folder / "password").write_text(PASSWORD + "\n")
    ports: dict[str, int] = {}
    for listener in ("TLS", "SASL", "MTLS"):
        while (port := free_port()) in ports.values():
            pass
        ports[listener] = port
    broker = start_broker(folder / "broker", more=_properties(folder, ports))
    try:
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        try:
            failed = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, "SCRAM-SHA-512", PASSWORD)])
            assert not any(failed.values()), failed
        finally:
            admin.close()
        yield Secured(folder, ports)
    finally:
        stop_broker(folder / "broker")


def _properties(folder: Path, ports: dict[str, int]) -> dict[str, str]:
    login = "org.apache.kafka.common.security"
    return {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
        "advertised.listeners": ",".join(f"{name}://localhost:{port}" for name, port in ports.items()),
        "listener.security.protocol.map": "TLS:SSL,SASL:SASL_SSL,MTLS:SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.keys"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mtls.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.sasl.plain.sasl.jaas.config": f'{login}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
    }


def authority(folder: Path, name: str) -> None:
    """A certificate authority of our own."""
    _openssl(
        folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"
    )


def signed(folder: Path, name: str, host: str) -> None:
    """A key, and a certificate for ``host`` that the authority "ca" has signed."""
    (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\n")
    _openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem",
    )  # fmt: skip


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
