"""The HTTP embedder against a real server on this machine, which counts requests and fails as it is told to."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import walnut
from walnut.embed.http import HttpEmbedder, HttpSettings
from walnut.errors import EmbedderFailed
from walnut.system import System

LONG = 60.0
Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; the server's script says how the next ones are answered, after that it answers well."""

    protocol_version = "HTTP/1.1"
    server: "Embeddings"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append({"path": self.path, "key": self.headers["Authorization"], **asked})
            script = self.server.script.pop(0) if self.server.script else well
        self.asked = asked
        script(self)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
        """Quiet."""


class Embeddings(ThreadingHTTPServer):
    """Speaks OpenAI's `/v1/embeddings`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.script: list[Answer] = []
        self.over = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is none."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


def vectors(texts: list[str]) -> list[dict[str, Any]]:
    return [{"object": "embedding", "index": n, "embedding": [len(t), t.count("a"), 1]} for n, t in enumerate(texts)]


def well(request: Request) -> None:
    data = vectors(request.asked["input"])[::-1]  # in any order: the index counts
    request.answer(200, json.dumps({"object": "list", "data": data, "model": request.asked["model"]}).encode())


def status(number: int, **headers: str) -> Answer:
    return lambda request: request.answer(number, b'{"error": "as told"}', **headers)


def body(text: str) -> Answer:
    return lambda request: request.answer(200, text.encode())


def altered(alter: Callable[[list[dict[str, Any]]], Any]) -> Answer:
    return lambda request: request.answer(200, json.dumps({"data": alter(vectors(request.asked["input"]))}).encode())


def hangs(request: Request) -> None:
    request.server.over.wait(LONG)


def hangs_up(request: Request) -> None:
    request.connection.close()
    request.close_connection = True


def drips(request: Request) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    while not request.server.over.wait(0.02):
        request.wfile.write(b" ")


def dripping(before: str, piece: str, after: str) -> Answer:
    """A good answer, in the end: after two seconds of a piece now and then, long before each wait is too long."""

    def answer(request: Request) -> None:
        said = json.dumps({"data": vectors(request.asked["input"])})
        rest = after.replace("LENGTH", f"{len(said)}").replace("SIZE", f"{len(said):x}").replace("SAID", said)
        request.wfile.write(before.encode())
        for _ in range(100):
            if request.server.over.wait(0.02):
                return
            request.wfile.write(piece.encode())
        request.wfile.write(rest.encode())

    return answer


OK = "HTTP/1.1 200 OK\r\n"
DRIPS = {
    "status": dripping("HTTP/1.1 200 ", "O", "K\r\nContent-Length: LENGTH\r\n\r\nSAID"),
    "a header": dripping(OK + "X-Long: ", "x", "\r\nContent-Length: LENGTH\r\n\r\nSAID"),
    "continue": dripping("", "HTTP/1.1 100 Continue\r\n\r\n", OK + "Content-Length: LENGTH\r\n\r\nSAID"),
    "chunks": dripping(OK + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", "SIZE\r\nSAID\r\n0\r\n\r\n"),
    "trailers": dripping(OK + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "X: y\r\n", "\r\n"),
}


def never_ends(request: Request) -> None:
    request.send_response(200)
    request.send_header("Connection", "close")
    request.end_headers()
    request.close_connection = True
    while not request.server.over.is_set():
        request.wfile.write(b" " * 65536)


class Clock(System):
    """The real machine, whose pauses are noted instead of slept."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def server() -> Iterator[Embeddings]:
    made = Embeddings()
    thread = threading.Thread(target=lambda: made.serve_forever(0.01))
    thread.start()
    yield made
    made.over.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def embedder(server: Embeddings, clock: System | None = None, **settings: Any) -> HttpEmbedder:
    return HttpEmbedder(
        server.url, model="tiny", dimensions=3, key="sk-1", settings=HttpSettings(**settings), system=clock
    )


def test_texts_become_vectors_in_batches_and_in_order(server: Embeddings) -> None:
    found = embedder(server, batch=2).embed(["a", "bb", "aaa", "", "\ud800é猫"])
    assert found == [[1, 1, 1], [2, 0, 1], [3, 3, 1], [0, 0, 1], [3, 0, 1]]
    assert [request["input"] for request in server.requests] == [["a", "bb"], ["aaa", ""], ["?é猫"]]
    assert {(r["path"], r["key"], r["model"]) for r in server.requests} == {("/v1/embeddings", "Bearer sk-1", "tiny")}
    assert "dimensions" not in server.requests[0]
    assert embedder(server).embed([]) == []


def test_the_key_comes_from_the_environment_and_shows_nowhere(
    server: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-2")
    made = HttpEmbedder(server.url + "/embeddings", model="tiny", dimensions=3, key_from="MY_KEY", shorten=True)
    made.embed(["a"])
    assert server.requests[0]["key"] == "Bearer sk-2"
    assert server.requests[0]["path"] == "/v1/embeddings"
    assert server.requests[0]["dimensions"] == 3
    assert "sk-2" not in repr(made)
    monkeypatch.delenv("MY_KEY")
    HttpEmbedder(server.url, model="tiny", dimensions=3, key_from="MY_KEY").embed(["a"])
    assert server.requests[1]["key"] is None


def test_a_busy_server_is_asked_again_after_pauses_that_grow(server: Embeddings, clock: Clock) -> None:
    server.script = [status(429), status(500), hangs_up]
    assert embedder(server, clock).embed(["a"]) == [[1, 1, 1]]
    assert len(server.requests) == 4
    assert [0.25 <= clock.pauses[0] <= 0.5, 0.5 <= clock.pauses[1] <= 1, 1 <= clock.pauses[2] <= 2] == [True] * 3


def test_a_server_that_says_when_to_come_back_is_obeyed(server: Embeddings, clock: Clock) -> None:
    server.script = [
        status(429, Retry_After="7"),
        status(503, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
        status(503, Retry_After="soon"),
    ]
    embedder(server, clock).embed(["a"])
    assert clock.pauses[:2] == [7, 0]
    assert 1 <= clock.pauses[2] <= 2


def test_one_that_wants_to_be_left_alone_for_long_is(server: Embeddings, clock: Clock) -> None:
    server.script = [status(429, Retry_After="3600")]
    with pytest.raises(EmbedderFailed, match="429") as failed:
        embedder(server, clock).embed(["a"])
    assert failed.value.passing
    assert (len(server.requests), clock.pauses) == (1, [])


def test_attempts_are_bounded(server: Embeddings, clock: Clock) -> None:
    server.script = [status(502)] * 9
    with pytest.raises(EmbedderFailed, match="502") as failed:
        embedder(server, clock, attempts=3).embed(["a"])
    assert failed.value.passing
    assert len(server.requests) == 3


@pytest.mark.parametrize(("number", "passing"), [(400, False), (413, False), (401, True), (404, True), (302, True)])
def test_other_refusals_are_final_and_only_some_are_the_texts_fault(
    server: Embeddings, clock: Clock, number: int, *, passing: bool
) -> None:
    server.script = [status(number, Location=server.url)]
    with pytest.raises(EmbedderFailed, match=str(number)) as failed:
        embedder(server, clock).embed(["a secret"])
    assert failed.value.passing is passing
    assert len(server.requests) == 1
    assert "secret" not in str(failed.value)
    assert "as told" not in str(failed.value)


@pytest.mark.parametrize("slow", [hangs, drips])
def test_a_slow_server_is_not_waited_for(server: Embeddings, clock: Clock, slow: Answer) -> None:
    server.script = [slow]
    assert embedder(server, clock, timeout=0.2).embed(["a"]) == [[1, 1, 1]]
    assert len(server.requests) == 2


@pytest.mark.parametrize("drip", DRIPS)
def test_a_server_that_drips_is_not_waited_for_wherever_it_does(server: Embeddings, clock: Clock, drip: str) -> None:
    server.script = [DRIPS[drip], well]
    made = embedder(server, clock, timeout=0.2)
    assert made.embed(["a"]) == [[1, 1, 1]]
    assert len(server.requests) == 2, "the first was waited for to its end"


def test_a_server_that_reads_nothing_is_not_waited_for() -> None:
    """Its socket takes what fits and no more."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        made = HttpEmbedder(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", model="tiny", dimensions=3)
        made._settings = HttpSettings(timeout=0.2, attempts=1)
        with pytest.raises(EmbedderFailed, match="TimeoutError"):
            made.embed(["x" * 50_000_000])


def test_an_answer_without_end_is_not_read(server: Embeddings, clock: Clock) -> None:
    server.script = [never_ends]
    with pytest.raises(EmbedderFailed, match="does not end"):
        embedder(server, clock).embed(["a"])


def test_a_server_that_is_not_there_is_a_failure_that_may_pass(clock: Clock) -> None:
    nowhere = Embeddings()
    nowhere.server_close()
    with pytest.raises(EmbedderFailed, match="not reached") as failed:
        embedder(nowhere, clock).embed(["a"])
    assert failed.value.passing
    assert len(clock.pauses) == 3


@pytest.mark.parametrize(
    "answer",
    [
        body(""),
        body("<html>"),
        body("[]"),
        body('{"data": [{"index": 0, "embedding": [NaN, 1, 2]}, {"index": 1, "embedding": [1, 1, 2]}]}'),
        body('{"data": [{"index": 0, "embedding": "AAAA"}, {"index": 1, "embedding": "AAAA"}]}'),
        body('{"data": ' + "[" * 100_000),
        altered(lambda data: data[:1]),
        altered(lambda data: data * 2),
        altered(lambda data: [{**each, "index": 0} for each in data]),
        altered(lambda data: [{**each, "index": -1} for each in data]),
        altered(lambda data: [{**each, "embedding": [1, "x", 2]} for each in data]),
        altered(lambda data: [{**each, "embedding": [1, None, 2]} for each in data]),
    ],
)
def test_garbage_is_a_failure_and_not_a_vector(server: Embeddings, clock: Clock, answer: Answer) -> None:
    server.script = [answer]
    with pytest.raises(EmbedderFailed) as failed:
        embedder(server, clock).embed(["a", "b"])
    assert not failed.value.passing


@pytest.mark.parametrize(
    "url", ["", "abc", "ftp://x/v1", "http://", "http://x:port/v1", "http://user:pass@x/v1", "http://x/a b", 7, None]
)
def test_what_is_no_address_is_refused(url: Any) -> None:
    with pytest.raises(walnut.InvalidArgument, match="url"):
        HttpEmbedder(url, model="tiny", dimensions=3)


def test_a_key_that_is_no_header_is_refused() -> None:
    for key in ("a\r\nHost: b", "ключ"):
        with pytest.raises(walnut.InvalidArgument, match="key"):
            HttpEmbedder("http://x/v1", model="tiny", dimensions=3, key=key)


def test_a_store_embeds_over_http_in_few_requests_and_lives_through_trouble(server: Embeddings) -> None:
    server.script = [status(429, Retry_After="0"), status(500, Retry_After="0"), hangs_up]
    with walnut.open("memory://", embedder=embedder(server, pause=0.001)) as m:
        m.remember_many([{"text": "banana" + "a" * number} for number in range(100)])
        done = m.upkeep.embed(timeout=LONG)
        assert (done.vectors, done.waiting, done.given_up) == (100, 0, 0)
        assert sum(len(request["input"]) for request in server.requests[3:]) == 100
        assert len(server.requests) <= 3 + 4
        assert m.recall("aaaa", mode="vector", k=1)[0].text.startswith("banana")
