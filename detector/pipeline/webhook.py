"""Send events over a network while a video runs, without delaying it: by HTTP POST, or to an MQTT broker."""

from __future__ import annotations

import http.client
import json
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import unquote, urlsplit

from detector.errors import SettingsError
from detector.images.addresses import without_credentials
from detector.pipeline.outputs import OnNote, ignore_note
from detector.tracking.events import Event

_MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True)
class SendingSettings:
    """Timeouts and limits for sending events."""

    timeout_seconds: float = 5.0
    """Seconds for each step of an attempt."""
    first_pause_seconds: float = 0.5
    """Seconds to wait after a failed attempt; doubled after each further one."""
    longest_pause_seconds: float = 30.0
    attempts: int = 6
    """Maximum attempts for one event, which is then dropped."""
    most_waiting: int = 1000
    """Maximum events that wait; further ones are dropped."""
    closing_seconds: float = 5.0
    """Seconds for the events that still wait when the video has ended."""


USUAL_SENDING = SendingSettings()


class Refused(Exception):  # noqa: N818 - an answer, not a bug
    """The receiver refuses an event permanently."""


class Sender(Protocol):
    """Send the text of one event. Raise `Refused`, or any other `OSError` or HTTP error to try again."""

    def __call__(self, body: bytes) -> None:
        """Send."""
        ...

    def close(self) -> None:
        """Close any open connection."""
        ...


class EventQueue:
    """Queues events for a `Sender` in a separate thread; `put` never waits.

    An event that cannot be sent is tried again with increasing waits, and then dropped; so are events that arrive while
    too many wait. The note says how many.
    """

    def __init__(
        self,
        name: str,
        send: Sender,
        *,
        source: str = "",
        settings: SendingSettings = USUAL_SENDING,
        on_note: OnNote = ignore_note,
    ) -> None:
        """Send with `sender`; `name` and `source` identify the receiver and the video in messages."""
        self._name, self._send, self._settings, self._on_note = without_credentials(name), send, settings, on_note
        self._source = {"source": source} if source else {}
        self._waiting: deque[bytes] = deque()
        self._changed = Condition()
        self._deadline: float | None = None
        self._trouble = ""
        self.sent = 0
        self.dropped = 0
        self._thread = Thread(target=self._work, name="event-sender", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def put(self, event: Event) -> None:
        """Queue an event."""
        body = json.dumps({**event.fields(), **self._source}, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )
        with self._changed:
            if len(self._waiting) >= self._settings.most_waiting:
                self.dropped += 1
                return
            self._waiting.append(body)
            self._changed.notify_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._deadline = monotonic() + self._settings.closing_seconds
            self._changed.notify_all()
        self._thread.join(self._settings.closing_seconds + self._settings.timeout_seconds)
        with self._changed:
            self.dropped += len(self._waiting)
            self._waiting.clear()
        if self.dropped:
            why = f": {self._trouble}" if self._trouble else ""
            self._on_note(f"{self._name}: {self.sent} events sent, {self.dropped} dropped{why}")

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._waiting and self._deadline is None:
                        self._changed.wait()
                    if not self._waiting or self._is_late():
                        return
                    body = self._waiting[0]
                delivered = self._delivered(body)
                with self._changed:
                    if not self._waiting:
                        return  # the run has ended and the time for sending is over
                    self._waiting.popleft()
                    self.sent += delivered
                    self.dropped += not delivered
        finally:
            self._send.close()

    def _delivered(self, body: bytes) -> bool:
        """Send one event, with several attempts."""
        pause = self._settings.first_pause_seconds
        for attempt in range(1, self._settings.attempts + 1):
            try:
                self._send(body)
            except Refused as refusal:
                self._note_trouble(str(refusal))
                return False
            except (OSError, http.client.HTTPException) as error:
                self._note_trouble(str(error) or type(error).__name__)
                if attempt == self._settings.attempts or not self._paused(pause):
                    return False
                pause = min(2 * pause, self._settings.longest_pause_seconds)
            else:
                return True
        return False

    def _paused(self, seconds: float) -> bool:
        """Wait; return False if the run has ended in the meantime and there is no time left."""
        until = monotonic() + seconds
        with self._changed:
            while (left := until - monotonic()) > 0:
                if self._deadline is not None and until > self._deadline:
                    return False
                self._changed.wait(left)
        return True

    def _is_late(self) -> bool:
        return self._deadline is not None and monotonic() > self._deadline

    def _note_trouble(self, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            self._on_note(f"{self._name}: an event could not be sent: {why}")


@contextmanager
def event_senders(
    webhook: str | None, mqtt: str | None, *, source: str, on_note: OnNote = ignore_note
) -> Iterator[Callable[[Event], object]]:
    """Yield a function that queues an event for these addresses. Raise `SettingsError` for an invalid one."""
    with ExitStack() as queues:
        senders = [(url, send(url)) for url, send in ((webhook, open_webhook), (mqtt, open_mqtt)) if url]
        opened = [queues.enter_context(EventQueue(url, send, source=source, on_note=on_note)) for url, send in senders]

        def put(event: Event) -> None:
            for queue in opened:
                queue.put(event)

        yield put


def open_webhook(url: str, *, timeout_seconds: float = USUAL_SENDING.timeout_seconds) -> Sender:
    """Return a sender that posts events as JSON. Raise `SettingsError` for an invalid address."""
    return _Webhook(url, timeout_seconds)


class _Webhook:
    """Posts to one address, without following redirects, over a new connection each time."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"{without_credentials(url)}: is no address to post to; expected https://HOST/PATH")
        self._host, self._port, self._timeout = parts.hostname, port, timeout_seconds
        self._secure = parts.scheme == "https"
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json", "User-Agent": "yolo3", "Connection": "close"}
        if parts.username is not None:
            from base64 import b64encode

            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"

    def __call__(self, body: bytes) -> None:
        connection: http.client.HTTPConnection
        if self._secure:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request("POST", self._target, body, self._headers)
            answer = connection.getresponse()
        finally:
            connection.close()
        if 200 <= answer.status < 300:
            return
        if 300 <= answer.status < 400:
            place = without_credentials(answer.headers.get("Location", "elsewhere"))
            raise Refused(f"answered {answer.status}, a redirect to {place}; name that address")
        said = f"answered {answer.status} {answer.reason}"
        if answer.status < 500 and answer.status not in (408, 425, 429):
            raise Refused(said)
        raise http.client.HTTPException(said)

    def close(self) -> None:
        """Nothing stays open."""


def open_mqtt(url: str, *, timeout_seconds: float = USUAL_SENDING.timeout_seconds) -> Sender:
    """Return a sender to a topic of an MQTT broker: mqtt://USER:PASSWORD@HOST:1883/TOPIC, or mqtts://.

    Raise `SettingsError` for an invalid address, or if the package paho-mqtt is missing.
    """
    return _Mqtt(url, timeout_seconds)


class _Mqtt:
    """Publishes to one topic, at least once each (quality of service 1)."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        topic = unquote(parts.path.lstrip("/"))
        if parts.scheme not in _MQTT_PORTS or not parts.hostname or not topic or "#" in url or "+" in topic:
            raise SettingsError(
                f"{without_credentials(url)}: is no topic of a broker; expected mqtt://HOST:1883/TOPIC, or mqtts://"
            )
        try:
            from paho.mqtt import client, enums
        except ImportError:
            raise SettingsError("MQTT needs the package paho-mqtt: pip install -e '.[mqtt]'") from None
        self._topic, self._timeout = topic, timeout_seconds
        self._place = parts.hostname, port or _MQTT_PORTS[parts.scheme]
        self._login = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
        self._secure = parts.scheme == "mqtts"
        self._new: Callable[[], Any] = lambda: client.Client(
            enums.CallbackAPIVersion.VERSION2, protocol=client.MQTTv311
        )
        self._client: Any = None

    def __call__(self, body: bytes) -> None:
        try:
            if self._client is None:
                self._client = self._connected()
            message = self._client.publish(self._topic, body, qos=1)
            self._until(self._client, message.is_published)
        except OSError:
            self._client = None  # a new client has no message that would be sent twice
            raise

    def close(self) -> None:
        """Disconnect from the broker."""
        if self._client is not None:
            self._client.disconnect()

    def _connected(self) -> Any:
        client = self._new()
        client.connect_timeout = self._timeout
        if self._login is not None:
            client.username_pw_set(*self._login)
        if self._secure:
            client.tls_set()
        client.connect(*self._place, keepalive=60)
        self._until(client, client.is_connected)
        return client

    def _until(self, client: Any, done: Callable[[], bool]) -> None:
        """Serve the connection until something is done. Raise `OSError` if it takes too long."""
        deadline = monotonic() + self._timeout
        while not done():
            if monotonic() > deadline:
                raise TimeoutError("the broker does not answer")
            if client.loop(timeout=0.1) != 0:
                raise ConnectionError("the broker refused or closed the connection")
