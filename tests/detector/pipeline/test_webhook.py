"""Events sent to servers that take them, refuse them, break, redirect, or say nothing."""

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep

import pytest

from detector.errors import SettingsError
from detector.pipeline.webhook import (
    EventQueue,
    Refused,
    SendingSettings,
    event_senders,
    open_mqtt,
    open_webhook,
)
from detector.tracking.events import Event

pytestmark = pytest.mark.real_time

HASTY = SendingSettings(timeout_seconds=0.3, first_pause_seconds=0.01, attempts=4, closing_seconds=1.0)
BOX = (1.0, 2.0, 3.0, 4.0)


def event(number):
    return Event("crossed", number / 25, number, 7, "car", BOX, "north ∞", "in")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, answers):
        self.answers, self.bodies, self.headers = list(answers), [], []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook?key=1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        answer = self.server.answers.pop(0) if self.server.answers else 200
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if answer == "hang":
            sleep(1)
            return
        self.server.bodies.append(json.loads(body))
        self.server.headers.append((self.path, dict(self.headers)))
        self.send_response(answer)
        self.send_header("Location", "http://other/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(*answers):
    server = Server(answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sent(url, count, *, settings=HASTY):
    """Send so many events; returns the queue and the notes."""
    notes = []
    send = open_webhook(url, timeout_seconds=settings.timeout_seconds)
    with EventQueue(url, send, source="cam", settings=settings, on_note=notes.append) as queue:
        for number in range(count):
            queue.put(event(number))
    return queue, notes


def test_events_arrive_in_order_as_json():
    with serving() as server:
        queue, notes = sent(server.url, 5)

    assert server.bodies == [{**event(number).fields(), "source": "cam"} for number in range(5)]
    path, headers = server.headers[0]
    assert (path, headers["Content-Type"]) == ("/hook?key=1", "application/json")
    assert (queue.sent, queue.dropped, notes) == (5, 0, [])


@pytest.mark.parametrize("answers", [(500, 503), (429,), ("hang",), (500, "hang", 408)])
def test_a_server_in_trouble_is_asked_again(answers):
    with serving(*answers) as server:
        queue, notes = sent(server.url, 2)

    assert (queue.sent, queue.dropped) == (2, 0)
    assert [body["frame"] for body in server.bodies][-2:] == [0, 1]
    assert all("an event could not be sent" in note for note in notes)


@pytest.mark.parametrize(
    ("answer", "said"),
    [(400, "answered 400"), (404, "answered 404"), (302, "answered 302, a redirect to http://other/; name that")],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(answer, said):
    with serving(answer) as server:
        queue, notes = sent(server.url, 2)

    assert (queue.sent, queue.dropped, len(server.bodies)) == (1, 1, 2)
    assert said in notes[0]
    assert "1 events sent, 1 dropped" in notes[-1]


def test_after_some_attempts_an_event_is_dropped():
    with serving(500, 500, 500, 500) as server:
        queue, _ = sent(server.url, 2)

    assert (queue.sent, queue.dropped) == (1, 1)
    assert [body["frame"] for body in server.bodies] == [0, 0, 0, 0, 1]


def test_nobody_waits_for_a_server_that_hangs():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        notes = []
        settings = SendingSettings(timeout_seconds=0.3, most_waiting=10, closing_seconds=0.3)
        with EventQueue(url, open_webhook(url, timeout_seconds=0.3), settings=settings, on_note=notes.append) as queue:
            began = monotonic()
            for number in range(1000):
                queue.put(event(number))
            assert monotonic() - began < 0.3
            ending = monotonic()
        assert monotonic() - ending < 1.5
    assert (queue.sent, queue.dropped) == (0, 1000)
    assert "0 events sent, 1000 dropped: " in notes[-1]


def test_a_server_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    queue, notes = sent(f"http://user:secret@127.0.0.1:{port}/", 1)
    assert (queue.sent, queue.dropped) == (0, 1)
    assert not any("secret" in note for note in notes)
    assert "refused" in notes[0].lower()


def test_a_name_and_password_are_sent_as_such():
    with serving() as server:
        sent(server.url.replace("http://", "http://me:p%40ss@"), 1)
    assert server.headers[0][1]["Authorization"] == "Basic bWU6cEBzcw=="


@pytest.mark.parametrize(
    "url", ["", "host/path", "ftp://host/", "http://", "http://host:99999/", "http://[::1/", "mqtt://host/topic"]
)
def test_no_address_to_post_to(url):
    with pytest.raises(SettingsError, match="is no address to post to"):
        open_webhook(url)


@pytest.mark.parametrize("url", ["", "mqtt://host", "mqtt://host/", "http://host/topic", "mqtt://host/a/#"])
def test_no_topic(url):
    with pytest.raises(SettingsError, match="is no topic of a broker"):
        open_mqtt(url)


def test_nothing_is_sent_anywhere_without_an_address():
    with event_senders(None, None, source="cam") as put:
        put(event(1))


class Broker:
    """As much of MQTT 3.1.1 as takes what is published (docs.oasis-open.org/mqtt/mqtt/v3.1.1)."""

    def __init__(self, *, drops_first=False):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.published, self.logins, self.drops_first = [], [], drops_first
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"mqtt://me:secret@127.0.0.1:{self.listener.getsockname()[1]}/yard/events"

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                self.talk(connection, stream)

    def talk(self, connection, stream):
        while kind := stream.read(1):
            length = shift = 0
            while True:
                (byte,) = stream.read(1)
                length, shift = length | (byte & 127) << shift, shift + 7
                if byte < 128:
                    break
            body = stream.read(length)
            if kind[0] >> 4 == 1:
                self.logins.append(body)
                connection.sendall(b"\x20\x02\x00\x00")
            elif kind[0] >> 4 == 3:
                if self.drops_first:
                    self.drops_first = False
                    return
                size = int.from_bytes(body[:2])
                self.published.append((body[2 : 2 + size].decode(), json.loads(body[4 + size :])))
                connection.sendall(b"\x40\x02" + body[2 + size : 4 + size])
            elif kind[0] >> 4 == 14:
                return


@pytest.mark.parametrize("drops_first", [False, True])
def test_a_broker_gets_every_event_once(drops_first):
    pytest.importorskip("paho.mqtt.client")
    broker = Broker(drops_first=drops_first)
    with EventQueue(broker.url, open_mqtt(broker.url, timeout_seconds=2), settings=HASTY) as queue:
        for number in range(3):
            queue.put(event(number))
    broker.listener.close()

    assert broker.published == [("yard/events", event(number).fields()) for number in range(3)]
    assert (queue.sent, queue.dropped) == (3, 0)
    assert all(b"me" in login and b"secret" in login for login in broker.logins)
    assert len(broker.logins) == 1 + drops_first


def test_a_broker_that_says_nothing():
    pytest.importorskip("paho.mqtt.client")
    notes = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}/topic"
        settings = SendingSettings(timeout_seconds=0.2, attempts=2, first_pause_seconds=0.01, closing_seconds=1)
        with EventQueue(url, open_mqtt(url, timeout_seconds=0.2), settings=settings, on_note=notes.append) as queue:
            queue.put(event(1))
    assert (queue.sent, queue.dropped) == (0, 1)
    assert "the broker does not answer" in notes[0]


def test_a_refusal_is_an_answer():
    class Send:
        asked = 0

        def __call__(self, body):
            self.asked += 1
            raise Refused("no")

        def close(self):
            pass

    send = Send()
    with EventQueue("x", send, settings=HASTY) as queue:
        queue.put(event(1))
    assert (send.asked, queue.dropped) == (1, 1)
