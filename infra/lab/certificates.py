"""The lab's own certificate authority: one key, one server certificate for 127.0.0.1."""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=30)
# A machine whose clock was set back a little still believes in what we have signed.
BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True)
class Certificates:
    """Files of one server: whom to trust, who it is, and a key of its own for signing tokens."""

    authority: Path
    certificate: Path
    key: Path
    signing_key: Path
    signing_public_key: Path


def issue(directory: Path, name: str) -> Certificates:
    """Make an authority and a certificate for `name` on 127.0.0.1; private keys are 0600.

    The authority's key is used once and kept nowhere.
    """
    issuer = _name("lab authority")
    authority_key, server_key, signing_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority = (
        _unsigned(issuer, issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    here = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = (
        _unsigned(_name(name), issuer, server_key.public_key())
        .add_extension(here, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    public = signing_key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Certificates(
        authority=write_private(directory / "authority.crt", authority.public_bytes(pem)),
        certificate=write_private(directory / f"{name}.crt", server.public_bytes(pem)),
        key=write_private(directory / f"{name}.key", _private(server_key)),
        signing_key=write_private(directory / "signing.key", _private(signing_key)),
        signing_public_key=write_private(directory / "signing.pub", public),
    )


def write_private(path: Path, content: bytes) -> Path:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return path


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _unsigned(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
