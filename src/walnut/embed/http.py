"""An embedder behind HTTP: any server that speaks OpenAI's `/v1/embeddings`, hosted or on this machine."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import msgspec

from walnut.errors import EmbedderFailed, InvalidArgument
from walnut.system import System

if TYPE_CHECKING:
    from socket import SocketIO, socket

    from _typeshed import WriteableBuffer

#: Statuses that another try may better.
_BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
#: Statuses for which the texts may be to blame; all others are about the server, the address or the key.
_TEXTS = frozenset({400, 413, 422})
_READ = 1 << 16
_ROOM = 1 << 20
#: Bytes of one number in an answer, at most.
_NUMBER = 40
#: Bytes that are sent at once: what TLS puts into one record.
_PIECE = 1 << 14


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`batch`: texts of one request. `attempts`: requests for one batch.

    `timeout`: seconds for one request, from its first byte to the answer's last; before that, for each address of the
    server that is tried.
    `pause`: seconds before the second attempt, doubled for each further one, and drawn by chance from half of it
    up; a server that says when to come back is obeyed up to `longest_pause`, beyond which the call fails at once.
    """

    batch: int = 64
    timeout: float = 30.0
    attempts: int = 4
    pause: float = 0.5
    longest_pause: float = 30.0


SETTINGS = HttpSettings()


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Item]


class _Again(Exception):
    """Another attempt may be answered; `after` seconds, if the server said so."""

    def __init__(self, told: str, after: float | None = None) -> None:
        self.told, self.after = told, after
        super().__init__(told)


_decode = msgspec.json.Decoder(_Answer).decode


class HttpEmbedder:
    """Texts become vectors on a server: `POST {url}/embeddings` with the model's name, as OpenAI's API has it.

    `url` is like `https://api.example.com/v1` or `http://127.0.0.1:11434/v1`. `key` is sent as a bearer token;
    without one that of the environment variable `key_from` is, if it is set. `shorten=True` asks the server for
    vectors of `dimensions` numbers, for models that can. Proxies of the environment are not used, redirections
    not followed. Safe for any number of threads. Errors: InvalidArgument; `embed` raises EmbedderFailed.

    >>> from walnut.embed.http import HttpEmbedder
    >>> HttpEmbedder("http://127.0.0.1:11434/v1", model="all-minilm", dimensions=384).model
    'all-minilm'
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        dimensions: int,
        key: str | None = None,
        key_from: str = "WALNUT_EMBEDDING_KEY",
        shorten: bool = False,
        settings: HttpSettings = SETTINGS,
        system: System | None = None,
    ) -> None:
        self.model, self.dimensions = model, dimensions
        self._settings = settings
        self._system = system or System()
        self._shorten = shorten
        self._host, self._port, self._path, self._tls = _address(url)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "walnut"}
        key = self._system.environment(key_from) if key is None else key
        if key:
            self._headers["Authorization"] = f"Bearer {_header(key)}"

    def __repr__(self) -> str:
        return f"HttpEmbedder({self._host}, model={self.model!r})"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in requests of `batch` texts over one connection."""
        found: list[list[float]] = []
        connection = self._connection()
        try:
            for start in range(0, len(texts), self._settings.batch):
                found += self._batch(connection, texts[start : start + self._settings.batch])
        finally:
            connection.close()
        return found

    def _connection(self) -> HTTPConnection:
        if self._tls:
            context = ssl.create_default_context()
            return HTTPSConnection(self._host, self._port, timeout=self._settings.timeout, context=context)
        return HTTPConnection(self._host, self._port, timeout=self._settings.timeout)

    def _batch(self, connection: HTTPConnection, texts: Sequence[str]) -> list[list[float]]:
        asked: dict[str, object] = {"model": self.model, "input": [_encodable(text) for text in texts]}
        if self._shorten:
            asked["dimensions"] = self.dimensions
        body = msgspec.json.encode(asked)
        for attempt in range(1, self._settings.attempts + 1):
            try:
                return self._ordered(self._post(connection, body, len(texts)), len(texts))
            except _Again as again:
                self._pause(again, attempt)
            except (OSError, HTTPException) as error:
                connection.close()  # it opens anew by itself
                self._pause(_Again(f"the server was not reached ({type(error).__name__})"), attempt)
        raise AssertionError("unreachable")

    def _pause(self, again: _Again, attempt: int) -> None:
        """Wait before the next attempt; EmbedderFailed when there is none."""
        settings = self._settings
        chance = 0.5 + self._system.random(1)[0] / 510
        pause = settings.pause * 2 ** (attempt - 1) * chance if again.after is None else again.after
        if attempt >= settings.attempts or pause > settings.longest_pause:
            raise EmbedderFailed(
                again.told, where=self._host, hint="it is tried again by itself", passing=True
            ) from None
        self._system.sleep(pause)

    def _post(self, connection: HTTPConnection, body: bytes, count: int) -> bytes:
        if not isinstance(connection.sock, _Timed):
            connection.connect()
            connection.sock = _Timed(connection.sock, self._system)
        connection.sock.until = self._system.monotonic() + self._settings.timeout
        connection.request("POST", self._path, body, self._headers)
        response = connection.getresponse()
        answer = self._read(response, _ROOM + count * self.dimensions * _NUMBER)
        if response.status == 200:
            return answer
        told = f"the server answered with status {response.status}"
        if response.status in _BUSY:
            raise _Again(told, self._retry_after(response))
        raise EmbedderFailed(
            told,
            where=self._host,
            hint="check the url, the model's name and the key",
            passing=response.status not in _TEXTS,
        )

    def _read(self, response: HTTPResponse, most: int) -> bytes:
        """All of the answer, which is not endless."""
        found = bytearray()
        while chunk := response.read1(_READ):
            found += chunk
            if len(found) > most:
                raise EmbedderFailed("the server's answer does not end", where=self._host, passing=True)
        response.close()  # `read1` does not, and the connection takes no other request before
        return bytes(found)

    def _retry_after(self, response: HTTPResponse) -> float | None:
        """Seconds until the server wants to be asked again: it says how many, or a date."""
        given = response.getheader("Retry-After")
        if given is None:
            return None
        try:
            if given.strip().isdigit():
                return float(given)
            return max(0.0, parsedate_to_datetime(given).timestamp() - self._system.now() / 10**9)
        except (ValueError, OverflowError):
            return None

    def _ordered(self, answer: bytes, count: int) -> list[list[float]]:
        try:
            items = _decode(answer).data
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise EmbedderFailed("the server's answer is not a list of embeddings", where=self._host) from None
        items.sort(key=lambda item: item.index)
        if [item.index for item in items] != list(range(count)):
            told = f"the server gave {len(items)} vectors for {count} texts, or not one for each"
            raise EmbedderFailed(told, where=self._host)
        return [item.embedding for item in items]


class _Timed:
    """A connected socket, as http.client uses it, no wait of which goes beyond `until` (of the monotonic clock).

    A socket's own limit is for each wait: a server that sends a byte now and then would be waited for without end.
    """

    def __init__(self, sock: socket, system: System) -> None:
        self._sock, self._system, self.until = sock, system, 0.0
        self.close = sock.close

    def wait(self) -> None:
        """Have the next wait end in time; TimeoutError when the time is up."""
        left = self.until - self._system.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        for start in range(0, len(data), _PIECE):
            self.wait()
            self._sock.sendall(data[start : start + _PIECE])

    def makefile(self, mode: Literal["rb"]) -> BufferedReader:
        """What the server sends."""
        return BufferedReader(_Reader(self._sock.makefile(mode, buffering=0), self))


class _Reader(RawIOBase):
    """Reads from a socket, each time after `wait`."""

    def __init__(self, raw: SocketIO, timed: _Timed) -> None:
        self._raw, self._timed = raw, timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._timed.wait()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        super().close()
        self._raw.close()


def _address(url: str) -> tuple[str, int | None, str, bool]:
    """Host, port, path and whether to encrypt."""
    wrong = InvalidArgument("not the address of a server", where="url", hint="like https://api.example.com/v1")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except (TypeError, ValueError, AttributeError):
        raise wrong from None
    if not host or parts.scheme not in ("http", "https") or parts.username is not None:
        raise wrong
    path = parts.path.rstrip("/").removesuffix("/embeddings") + "/embeddings"
    path += f"?{parts.query}" if parts.query else ""
    if not path.isascii() or not path.isprintable() or " " in path:
        raise wrong
    return host, port, path, parts.scheme == "https"


def _header(key: str) -> str:
    if not key.isascii() or not key.isprintable():
        raise InvalidArgument("a key is printable ASCII", where="key")
    return key


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
