"""Redis with its append-only file synced for every write: a stream, one connection for each writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import redis

from bench.workers.load import Refusals, Write

_STREAM = "notes"


class Stream:
    """A stream in a running server; `at` is the server's socket."""

    refusals: Refusals = (redis.RedisError,)

    def __init__(self, at: Path) -> None:
        self._at = at
        self._clients = [self._client()]

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._at), single_connection_client=True)

    def writers(self, count: int) -> Sequence[Write]:
        """A connection each."""
        while len(self._clients) < count:
            self._clients.append(self._client())
        return [self._writer(client) for client in self._clients[:count]]

    @staticmethod
    def _writer(client: redis.Redis) -> Write:
        return lambda text: client.xadd(_STREAM, {"text": text})

    def write_many(self, texts: Sequence[str]) -> object:
        """One MULTI … EXEC, one round trip."""
        with self._clients[0].pipeline(transaction=True) as pipeline:
            for text in texts:
                pipeline.xadd(_STREAM, {"text": text})
            return pipeline.execute()

    def texts(self) -> list[str]:
        """The whole stream."""
        return [fields[b"text"].decode() for _, fields in self._clients[0].xrange(_STREAM)]

    def last(self, name: str) -> str:  # noqa: ARG002 - a stream has an end
        """The end of the stream."""
        ((_, fields),) = self._clients[0].xrevrange(_STREAM, count=1)
        return str(fields[b"text"].decode())

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients:
            client.close()
