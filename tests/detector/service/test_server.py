import socket
import time
from statistics import median

import pytest

from detector.service.server import listen


def test_connections_send_small_packets_at_once():
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.real_time
def test_answers_on_a_kept_connection_are_not_delayed(serve):
    client = serve().client
    seconds = []
    for _ in range(9):
        begin = time.perf_counter()
        assert client.get("/v1/models").status_code == 200
        seconds.append(time.perf_counter() - begin)

    assert median(seconds) < 0.035  # a delayed acknowledgement takes 0.04
