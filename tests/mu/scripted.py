"""A coordinator that says what a test lets it say, over real TLS, to a real worker."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mu.digest import digest
from mu.job import Task
from mu.wire import (
    CONTROL,
    HEAD,
    STREAM,
    Accepted,
    Alive,
    Assigned,
    Deliver,
    Delivered,
    FromWorker,
    Hello,
    Invitation,
    Progressed,
    Send,
    Sent,
    ToWorker,
    Waiting,
    Welcome,
    decode_from_worker,
    frame,
    piece_head,
    server_name,
)

JOB = "a-job.of-tests-0123456789abcdef"
PATIENCE = 20.0
T = TypeVar("T", bound=FromWorker)


class Gone(Exception):
    """The worker closed the connection."""


class Peer:
    """One connection of a worker."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.connection = connection
        connection.settimeout(PATIENCE)
        self.messages: dict[tuple[str, str], bytes] = {}
        """What came whole, by receiver and name."""
        self._parts: dict[int, tuple[Send, bytearray]] = {}
        self.accepting = True

    def say(self, *words: ToWorker) -> None:
        self.connection.sendall(b"".join(frame(word) for word in words))

    def piece(self, stream: int, payload: bytes) -> None:
        self.connection.sendall(piece_head(stream, len(payload)) + payload)

    def deliver(self, stream: int, sender: str, name: str, payload: bytes, piece: int = 100_000) -> None:
        """A message in pieces."""
        self.say(Deliver(stream, sender, name, len(payload)))
        for at in range(0, len(payload), piece):
            self.piece(stream, payload[at : at + piece])
        self.say(Delivered(stream, digest(payload)))

    def read(self) -> FromWorker | tuple[int, bytes]:
        """The next frame, whatever it is."""
        length, kind = HEAD.unpack(self._exactly(HEAD.size))
        body = self._exactly(length - 1)
        return decode_from_worker(body) if kind == CONTROL else (STREAM.unpack(body[:4])[0], body[4:])

    def hear(self, kind: type[T]) -> T:
        """The next word of this kind. Messages before it are put together and accepted; Alive and the like go by."""
        while True:
            word = self.read()
            if isinstance(word, tuple):
                self._parts[word[0]][1].extend(word[1])
            elif isinstance(word, Send):
                self._parts[word.stream] = word, bytearray(word.payload or b"")
                if word.payload is not None:
                    self._whole(word.stream, word.digest)
            elif isinstance(word, Sent):
                self._whole(word.stream, word.digest)
            if isinstance(word, kind):
                return word
            assert isinstance(word, Alive | Progressed | Send | Sent | tuple), word

    def _whole(self, stream: int, told: bytes | None) -> None:
        send, payload = self._parts.pop(stream)
        assert len(payload) == send.size
        assert digest(payload) == told
        self.messages[send.receiver, send.name] = bytes(payload)
        if self.accepting:
            self.say(Accepted(stream))

    def gone(self) -> None:
        """Wait until the worker closes."""
        with suppress(OSError):
            while self.connection.recv(1 << 16):
                pass

    def cut(self) -> None:
        """Break the connection without a word."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            try:
                more = self.connection.recv(size - len(found))
            except ConnectionError as error:
                raise Gone from error
            if not more:
                raise Gone
            found += more
        return bytes(found)


class Scripted:
    """Listens on loopback, with a certificate of the job's own."""

    def __init__(self, folder: Path, job: str = JOB) -> None:
        self.job = job
        authority, self._chain = certificates(job)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._open: list[socket.socket] = [self._listener]
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        path = folder / "chain.pem"
        path.write_text(self._chain)
        self._tls.load_cert_chain(path)
        address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.invitation = Invitation(address, job, 7, "a token", authority, str(folder / "store"))

    def accept(self) -> Peer:
        """The next connection, with TLS."""
        raw, _ = self._listener.accept()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.settimeout(PATIENCE)
        self._open.append(raw)
        connection = self._tls.wrap_socket(raw, server_side=True)
        self._open.append(connection)
        return Peer(connection)

    def welcome(self, alive_s: float = 5.0) -> tuple[Peer, Hello]:
        """The next connection, welcomed."""
        peer = self.accept()
        hello = peer.hear(Hello)
        peer.say(Welcome(alive_s))
        return peer, hello

    def assign(self, task: Task, run: int = 1, alive_s: float = 5.0) -> Peer:
        """The next connection, with a task."""
        peer, hello = self.welcome(alive_s)
        assert hello.run is None
        peer.say(Assigned(run, task))
        return peer

    @contextmanager
    def beside(self, script: Callable[[], Any]) -> Iterator[list[Any]]:
        """Run the coordinator's part in a thread; what it returned, or raised, is there afterwards."""
        result: list[Any] = []

        def run() -> None:
            try:
                result.append(script())
            except BaseException as error:  # noqa: BLE001  it is raised again below
                result.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield result
        thread.join(PATIENCE * 2)
        assert result, "the coordinator's part has not ended"
        if isinstance(result[0], BaseException):
            raise result[0]

    def close(self) -> None:
        for each in self._open:
            each.close()


@cache
def certificates(job: str) -> tuple[str, str]:
    """An authority, and the key and certificate that it signed for a job's coordinator, as PEM."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("authority", "coordinator")]
    made = []
    for number in range(2):
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[number])
            .issuer_name(names[0])
            .public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
        )
        if number:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(server_name(job))]), False)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode())
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made[0], key.decode() + made[1]


def waiting(peer: Peer) -> tuple[str, str]:
    """Whom and what the worker says it waits for."""
    word = peer.hear(Waiting)
    return word.sender, word.name
