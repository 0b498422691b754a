import functools
import http.server
import threading
import warnings

import pytest

from detector.archive.inputs import find_inputs
from detector.archive.manifest import read_entries
from detector.archive.remote import find_remote
from detector.errors import SettingsError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket(inputs):
    """The inputs in fsspec's file system in memory."""
    system = fsspec.filesystem("memory")
    system.put(str(inputs), "/bucket", recursive=True)
    yield "memory://bucket/"
    system.rm("/bucket", recursive=True)


def test_what_is_below_an_address_is_processed(archive, bucket, out):
    assert find_remote(bucket + "**/*.mp4") == ["memory:///bucket/a.mp4", "memory:///bucket/ü/a.mp4"]
    result = archive(bucket)
    assert (result.processed, result.frames, result.problems) == (3, 20, [])
    assert next(entry.source for entry in read_entries(out / "manifest.jsonl")) == "memory:///bucket/a.mp4"
    (log, *_) = sorted(out.glob("a-*.jsonl"))
    assert '"source":"memory:///bucket/' in log.read_text("utf-8").splitlines()[0]
    assert archive(bucket).skipped == 3


def test_what_is_not_there_fails_alone(archive, bucket):
    result = archive("memory://bucket/none.mp4", bucket, retries=0)
    assert result.processed == 3 and "cannot be fetched: no such file" in result.problems[0][1]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("memory://nothing/", "holds no video"),
        ("nonsense://a/", "cannot be opened"),
        ("dask://a/", "package is missing"),
    ],
)
def test_wrong_addresses(address, words, tmp_path):
    with pytest.raises(SettingsError, match=words):
        find_inputs([address], out=tmp_path)


def test_http(archive, inputs):
    pytest.importorskip("aiohttp")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=inputs)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
        result = archive(f"http://127.0.0.1:{server.server_port}/a.mp4")
        server.shutdown()
    assert (result.frames, result.problems) == (12, [])
