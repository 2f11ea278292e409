"""What a job's workers trust, and what they are trusted for: a certificate authority a job, and a token a worker.

Nothing secret leaves the coordinator but the token, which is for one worker of one job and for some minutes.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import os
import ssl
import tempfile
from pathlib import Path
from typing import Annotated, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Meta

from mu.errors import ProtocolError
from mu.wire import server_name

__all__ = ["JobKeys"]

_LIFE = datetime.timedelta(days=30)
_SLACK = datetime.timedelta(hours=1)
"""Clocks of workers may be behind."""


class JobKeys(msgspec.Struct, frozen=True):
    """A job's certificate, the authority that signed it, and the key of its tokens.

    A coordinator that is started again must have the same: `dump` and `load`. The bytes are secret.
    """

    job: str
    authority: str
    """The authority's certificate as PEM: workers get it, it is public. Its private key was thrown away."""
    certificate: str
    private_key: str
    token_key: Annotated[bytes, Meta(min_length=32, max_length=32)]

    def __repr__(self) -> str:
        return f"JobKeys({self.job!r})"

    @classmethod
    def make(cls, job: str, now: datetime.datetime | None = None) -> Self:
        """New keys for a job, by its id: two P-256 key pairs and two certificates that hold for 30 days."""
        now = now or datetime.datetime.now(datetime.UTC)
        authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"mu {job}"[:64])])
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mu coordinator")])
        signing_only = _usage(key_cert_sign=True, crl_sign=True)
        authority = (
            _certificate(authority_name, authority_name, authority_key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(signing_only, critical=True)
            .sign(authority_key, hashes.SHA256())
        )
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        certificate = (
            _certificate(name, authority_name, key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(server_name(job))]), critical=False)
            .add_extension(signer, critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(job, _pem(authority), _pem(certificate), private.decode(), os.urandom(32))

    def dump(self) -> bytes:
        """All of it as MessagePack, for the ledger. Secret."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def load(cls, dumped: bytes) -> Self:
        """What `dump` made. Raises ProtocolError for other bytes."""
        try:
            return msgspec.msgpack.decode(dumped, type=cls)
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"these are no keys of a job: {error}") from error

    def context(self) -> ssl.SSLContext:
        """A context of TLS 1.3 that shows this job's certificate."""
        context = tls13_context()
        with tempfile.TemporaryDirectory() as folder:  # readable for nobody else; ssl takes files only
            path = Path(folder, "chain.pem")
            path.touch(mode=0o600)
            path.write_text(self.private_key + self.certificate)
            context.load_cert_chain(path)
        return context

    def token(self, worker: int, expiry: int) -> str:
        """What lets a worker in, until a time in seconds since 1970."""
        mac = hmac.digest(self.token_key, self._claim(worker, expiry), hashlib.sha256)
        return f"{expiry:x}." + base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def check_token(self, worker: int, token: str, now: float) -> None:
        """Raises ProtocolError for a token of another job or worker, one that has expired, and what is no token."""
        claimed, _, _ = token.partition(".")
        try:
            expiry = int(claimed, 16)
        except ValueError:
            raise ProtocolError("its token is none") from None
        if not 0 <= expiry < 1 << 63 or not hmac.compare_digest(self.token(worker, expiry).encode(), token.encode()):
            raise ProtocolError("its token is not for this worker of this job")
        if expiry <= now:
            raise ProtocolError(f"its token expired {now - expiry:.0f} s ago")

    def _claim(self, worker: int, expiry: int) -> bytes:
        return f"mu token\0{self.job}\0{worker}\0{expiry}".encode()


def tls13_context() -> ssl.SSLContext:
    """A server's context without a certificate: TLS 1.3, no session tickets, nothing is asked of the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nobody resumes a session: the ticket would cost a signature and memory
    return context


def _certificate(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
