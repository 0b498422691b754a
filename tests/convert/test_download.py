"""Downloads from a real HTTP server on 127.0.0.1 that misbehaves on purpose."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from convert.cfg import read_cfg
from convert.download import fetch, main, next_command
from convert.errors import DownloadError, OutputError, WorkError
from convert.http_transfer import first_byte, wrong_content
from convert.network import plan
from convert.published import NETWORKS, PublishedFile

pytestmark = pytest.mark.real_time

CHECKOUT = Path(__file__).parents[2]
HALF = 150_000
# The second half begins like a web page, which must not matter there.
DATA = random.Random(3).randbytes(HALF) + b"<" + random.Random(4).randbytes(HALF - 1)
OTHER = random.Random(5).randbytes(2 * HALF)
PAGE = b"<!DOCTYPE html><html><body>Sign in to this network</body></html>"

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        answers = self.server.answers[self.path]
        with suppress(ConnectionError):  # the client goes away, as some tests want
            (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def start(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in {"Content_Type": "application/octet-stream", **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.answers: dict[str, list[Answer]] = {}
        self.closing = threading.Event()

    def address(self, path: str, *answers: Answer) -> str:
        """Where requests get these answers, one after the other; the last one stays."""
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_port}{path}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def whole(data: bytes) -> Answer:
    """A good server: Range is understood."""

    def answer(handler: Handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        span = {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked else {}
        handler.start(206 if asked else 200, Content_Length=len(data) - start, **span)
        handler.wfile.write(data[start:])

    return answer


def without_range(data: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        handler.start(200, Content_Length=len(data))
        handler.wfile.write(data)

    return answer


def cut(handler: Handler) -> None:
    """The connection closes half-way."""
    handler.start(200, Content_Length=len(DATA))
    handler.wfile.write(DATA[:HALF])


def stall(handler: Handler) -> None:
    """Nothing more comes after one half."""
    cut(handler)
    handler.server.closing.wait(30)


def silent(handler: Handler) -> None:
    """Not even a status line comes."""
    handler.server.closing.wait(30)


def status(code: int) -> Answer:
    return lambda handler: handler.send_error(code)


def page(content_type: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.start(200, Content_Type=content_type)
        handler.wfile.write(PAGE)

    return answer


def published(*addresses: str, data: bytes = DATA, name: str = "net.weights") -> PublishedFile:
    return PublishedFile(name, len(data), hashlib.sha256(data).hexdigest(), addresses)


def fetch_quickly(file: PublishedFile, folder: Path) -> Path:
    return fetch(file, folder, timeout_seconds=5, pauses_seconds=(0.01, 0.01))


def assert_only(path: Path, data: bytes = DATA) -> None:
    """The file is whole and its folder holds nothing else, no .part above all."""
    assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


# ---- a download that works out ----


def test_plain(server: Server, tmp_path: Path) -> None:
    path = fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "net.weights"
    assert_only(path)
    assert server.requests == [("/good", None)]


def test_already_there(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = published(server.address("/good", whole(DATA)))
    (tmp_path / "net.weights").write_bytes(DATA)
    assert_only(fetch_quickly(file, tmp_path))
    assert server.requests == []
    assert "already there" in capsys.readouterr().err


def test_cut_connection_is_resumed(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_only(fetch_quickly(published(server.address("/cut", cut, whole(DATA))), tmp_path))
    assert server.requests == [("/cut", None), ("/cut", f"bytes={HALF}-")]
    assert "connection lost after 150,000 of 300,000 bytes; trying again in 0.01 s" in capsys.readouterr().err


def test_part_of_an_earlier_run_is_resumed(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.weights.yolo3-part").write_bytes(DATA[:HALF])
    assert_only(fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path))
    assert server.requests == [("/good", f"bytes={HALF}-")]
    assert "100%" in capsys.readouterr().err


def test_whole_part_needs_no_request(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.weights.yolo3-part").write_bytes(DATA)
    assert_only(fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path))
    assert server.requests == []


def test_server_without_range_starts_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.weights.yolo3-part").write_bytes(OTHER[:HALF])
    assert_only(fetch_quickly(published(server.address("/plain", without_range(DATA))), tmp_path))
    assert server.requests == [("/plain", f"bytes={HALF}-")]


def elsewhere(handler: Handler) -> None:
    """Range is answered from another place than was asked."""
    handler.start(206, Content_Length=10, Content_Range=f"bytes {len(DATA) - 10}-{len(DATA) - 1}/{len(DATA)}")
    handler.wfile.write(DATA[-10:])


@pytest.mark.parametrize(
    ("part", "first"),
    [
        pytest.param(DATA[:HALF], status(416), id="Range refused"),
        pytest.param(DATA[:HALF], elsewhere, id="Range misunderstood"),
        pytest.param(OTHER[:HALF], whole(DATA), id="part of another file"),
    ],
)
def test_useless_part_is_downloaded_again(server: Server, tmp_path: Path, part: bytes, first: Answer) -> None:
    (tmp_path / "net.weights.yolo3-part").write_bytes(part)
    assert_only(fetch_quickly(published(server.address("/once", first, whole(DATA))), tmp_path))
    assert server.requests == [("/once", f"bytes={HALF}-"), ("/once", None)]


@pytest.mark.parametrize("part", [pytest.param(OTHER, id="as long"), pytest.param(DATA + b"more", id="longer")])
def test_wrong_part_of_full_length_is_downloaded_again(server: Server, tmp_path: Path, part: bytes) -> None:
    (tmp_path / "net.weights.yolo3-part").write_bytes(part)
    assert_only(fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path))
    assert server.requests == [("/good", None)]


def rude(handler: Handler) -> None:
    handler.send_response_only(403, "\x1b[2J\x1b[31mPay here")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def test_server_messages_cannot_control_the_terminal(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch_quickly(published(server.address("/rude", rude)), tmp_path)
    told = str(caught.value) + capsys.readouterr().err
    assert told.count(r"HTTP 403 \x1b[2J\x1b[31mPay here") == 2
    assert "\x1b" not in told


def test_a_users_file_with_a_similar_name_is_kept(server: Server, tmp_path: Path) -> None:
    mine = tmp_path / "net.weights.part"
    mine.write_bytes(OTHER)
    fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path)
    assert mine.read_bytes() == OTHER


def test_overloaded_server_is_retried(server: Server, tmp_path: Path) -> None:
    assert_only(fetch_quickly(published(server.address("/busy", status(503), whole(DATA))), tmp_path))
    assert len(server.requests) == 2


# ---- a bad first address, a good second one ----


def too_much(handler: Handler) -> None:
    """One byte more, with no length said beforehand."""
    handler.start(200)
    handler.wfile.write(DATA + b"!")


def git_lfs(handler: Handler) -> None:
    handler.start(200)
    handler.wfile.write(b"version https://git-lfs.github.com/spec/v1\n")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param(status(403), "HTTP 403 Forbidden", id="403"),
        pytest.param(status(404), "HTTP 404 Not Found", id="404"),
        pytest.param(page("text/html; charset=utf-8"), "a web page (HTML)", id="HTML"),
        pytest.param(page("application/octet-stream"), "a web page (HTML)", id="HTML in disguise"),
        pytest.param(git_lfs, "a git-lfs pointer", id="git-lfs"),
        pytest.param(without_range(OTHER), "wrong content: SHA-256", id="other bytes"),
        pytest.param(without_range(DATA[:99]), "offers 99 bytes, expected 300,000", id="shorter"),
        pytest.param(without_range(DATA + b"!"), "offers 300,001 bytes, expected 300,000", id="longer"),
        pytest.param(too_much, "sends more than the expected 300,000 bytes", id="longer than promised"),
        pytest.param(status(204), "HTTP 204", id="no content"),
    ],
)
def test_refusal_moves_on_to_the_next_address(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: Answer, said: str
) -> None:
    file = published(server.address("/bad", bad), server.address("/good", whole(DATA)))
    assert_only(fetch_quickly(file, tmp_path))
    assert server.requests == [("/bad", None), ("/good", None)]
    assert said in capsys.readouterr().err


def test_an_address_that_sent_only_wrong_bytes_is_not_retried(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.weights.yolo3-part").write_bytes(DATA[:HALF])
    file = published(server.address("/bad", without_range(OTHER)), server.address("/good", whole(DATA)))
    assert_only(fetch_quickly(file, tmp_path))
    assert server.requests == [("/bad", f"bytes={HALF}-"), ("/good", None)]


def test_unreachable_server_moves_on_to_the_next_address(server: Server, tmp_path: Path) -> None:
    with Server() as closed:
        nowhere = f"http://127.0.0.1:{closed.server_port}/"
    began = time.monotonic()
    fetch(published(nowhere, server.address("/good", whole(DATA))), tmp_path, pauses_seconds=(60,))
    assert time.monotonic() - began < 30
    assert_only(tmp_path / "net.weights")


def test_refusals_leave_the_part_for_the_next_address(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.weights.yolo3-part").write_bytes(DATA[:HALF])
    bad = [server.address("/page", page("text/html")), server.address("/403", status(403))]
    assert_only(fetch_quickly(published(*bad, server.address("/good", whole(DATA))), tmp_path))
    assert server.requests[-1] == ("/good", f"bytes={HALF}-")


@pytest.mark.parametrize(
    ("mute", "then"),
    [pytest.param(stall, f"bytes={HALF}-", id="half"), pytest.param(silent, None, id="nothing")],
)
def test_stalled_server_moves_on_to_the_next_address(
    server: Server, tmp_path: Path, mute: Answer, then: str | None
) -> None:
    file = published(server.address("/slow", mute), server.address("/good", whole(DATA)))
    began = time.monotonic()
    assert_only(fetch(file, tmp_path, timeout_seconds=0.3, pauses_seconds=()))
    assert time.monotonic() - began < 20
    assert server.requests == [("/slow", None), ("/good", then)]


def test_endless_server_is_abandoned_at_once(server: Server, tmp_path: Path) -> None:
    sent = []

    def endless(handler: Handler) -> None:
        handler.start(200)
        for _ in range(1000):
            handler.wfile.write(OTHER)
            sent.append(len(OTHER))

    with pytest.raises(DownloadError, match="sends more than the expected 300,000 bytes"):
        fetch_quickly(published(server.address("/endless", endless)), tmp_path)
    assert sum(sent) < 100_000_000  # what the sockets' buffers hold, far from all
    assert list(tmp_path.iterdir()) == []


# ---- a download that fails ----


def test_all_addresses_fail(server: Server, tmp_path: Path) -> None:
    addresses = [
        server.address("/403", status(403)),
        server.address("/page", page("text/html")),
        server.address("/other", whole(OTHER)),
    ]
    file = published(*addresses)
    with pytest.raises(DownloadError) as caught:
        fetch_quickly(file, tmp_path)
    assert caught.value.exit_code == 1
    lines = str(caught.value).splitlines()
    assert lines[0] == "net.weights could not be fetched:"
    assert lines[1:] == [
        f"  {addresses[0]}: HTTP 403 Forbidden",
        f"  {addresses[1]}: sent a web page (HTML), not the file",
        f"  {addresses[2]}: wrong content: SHA-256 {hashlib.sha256(OTHER).hexdigest()}, expected {file.sha256}",
        f"You can also put the file there yourself: {tmp_path / 'net.weights'}, "
        f"300000 bytes with SHA-256 {file.sha256}",
    ]
    assert list(tmp_path.iterdir()) == []


def test_connection_that_always_breaks(server: Server, tmp_path: Path) -> None:
    address = server.address("/cut", cut)
    with pytest.raises(DownloadError) as caught:
        fetch_quickly(published(address), tmp_path)
    lost = "connection lost after 150,000 of 300,000 bytes; gave up after 3 attempts"
    assert f"  {address}: {lost}\n150,000 of 300,000 bytes are here; run this again" in str(caught.value)
    assert len(server.requests) == 3
    assert (tmp_path / "net.weights.yolo3-part").read_bytes() == DATA[:HALF]


@pytest.mark.parametrize("content", [pytest.param(b"mine", id="shorter"), pytest.param(OTHER, id="of the same size")])
def test_another_file_with_that_name_is_never_changed(server: Server, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.weights"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=f"found {len(content)} bytes .*expected 300000 bytes .*move it away"):
        fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path)
    assert_only(path, content)
    assert server.requests == []


def test_a_folder_of_that_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.weights").mkdir()
    with pytest.raises(OutputError, match=r"net\.weights: cannot be read: Is a directory"):
        fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path)


@pytest.mark.parametrize("below", ["", "model_data"])
def test_unwritable_folder(server: Server, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"a file where a folder should be")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path / "file" / below)
    assert str(tmp_path / "file") in str(caught.value)
    assert server.requests == []


def test_impossible_folder(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="File name too long"):
        fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path / ("x" * 300))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(server: Server, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path)
    tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full plays the full disk")
def test_full_disk(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.weights.yolo3-part").symlink_to("/dev/full")
    with pytest.raises(WorkError, match=r"net\.weights\.yolo3-part: cannot be written: No space left") as caught:
        fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path)
    assert caught.value.exit_code == 1
    assert not isinstance(caught.value, DownloadError)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "net.weights").exists()


# ---- the pure parts ----


def test_first_byte() -> None:
    assert first_byte(200, None, 0) == first_byte(200, None, 50) == 0
    assert first_byte(206, "bytes 50-99/100", 50) == 50
    assert first_byte(206, "bytes 50-99/*", 50) == 50


@pytest.mark.parametrize(
    ("content_type", "start", "found"),
    [
        ("application/octet-stream", b"\0\0\0\0\2\0\0\0", ""),
        ("text/plain", b"# A network\n[net]\n", ""),
        ("text/plain", b"", ""),
        ("text/html", b"\0\0\0\0", "sent a web page (HTML), not the file"),
        ("text/plain", b"\r\n <html>", "sent a web page (HTML), not the file"),
        ("text/plain", b"version https://git-lfs.github.com", "sent a git-lfs pointer, not the file itself"),
    ],
)
def test_wrong_content(content_type: str, start: bytes, found: str) -> None:
    assert wrong_content(content_type, start) == found


def test_next_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    folder = CHECKOUT / "model_data"
    assert next_command("yolov3", [folder / "yolov3.weights"]) == (
        "yolo3 convert configs/yolov3.cfg model_data/yolov3.weights model_data/yolov3.h5"
    )
    name = "yolo-fastest-1.1-xl"
    assert next_command(name, [Path(f"my nets/{name}.cfg"), Path(f"my nets/{name}.weights")]) == (
        f"yolo3 convert 'my nets/{name}.cfg' 'my nets/{name}.weights' 'my nets/{name}.h5'"
    )


@pytest.mark.parametrize("file", [file for files in NETWORKS.values() for file in files], ids=lambda file: file.name)
def test_published_files_are_well_formed(file: PublishedFile) -> None:
    assert re.fullmatch("[0-9a-f]{64}", file.sha256)
    assert len(file.addresses) >= 2
    assert all(re.fullmatch(rf"https://[^ ]+/{file.name}", address) for address in file.addresses)


@pytest.mark.parametrize("network", ["yolov3", "yolov3-tiny", "yolov3-spp"])
def test_published_weights_fit_their_cfg(network: str) -> None:
    floats = plan(read_cfg(CHECKOUT / "configs" / f"{network}.cfg")).parameter_count
    assert [(file.name, file.size_bytes) for file in NETWORKS[network]] == [(f"{network}.weights", 20 + 4 * floats)]


# ---- the command ----


def test_command_prints_the_paths_and_what_to_do_next(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg, address = b"[net]\n", server.address("/good", whole(DATA))
    files = (
        published(server.address("/cfg", whole(cfg)), data=cfg, name="toy.cfg"),
        published(address, name="toy.weights"),
    )
    for _ in range(2):
        assert main(["toy", "--to", "model_data"], networks={"toy": files}) == 0
        assert capsys.readouterr().out == (
            "model_data/toy.cfg\nmodel_data/toy.weights\n"
            "next: yolo3 convert model_data/toy.cfg model_data/toy.weights model_data/toy.h5\n"
        )
    assert len(server.requests) == 2


def test_command_shows_progress(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch_quickly(published(server.address("/good", whole(DATA))), tmp_path)
    assert re.search(r"net\.weights: 100%.*300k/300k", capsys.readouterr().err)


@pytest.mark.parametrize(("taken", "code"), [(False, 1), (True, 2)])
def test_command_ends_with_one_message(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], taken: bool, code: int
) -> None:
    if taken:
        (tmp_path / "net.weights").write_bytes(b"mine")
    networks = {"toy": (published(server.address("/403", status(403))),)}
    assert main(["toy", "--to", str(tmp_path)], networks=networks) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("download_weights: ") == 1


INTERRUPTIBLE = """
import signal, sys
from pathlib import Path
from convert.download import main
from convert.published import PublishedFile
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits a deaf one
file = PublishedFile("net.weights", 300000, sys.argv[1], (sys.argv[2],))
sys.exit(main(["toy", "--to", sys.argv[3]], networks={"toy": (file,)}))
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_interrupted_download_is_resumed_later(server: Server, tmp_path: Path) -> None:
    file = published(server.address("/slow", stall, whole(DATA)))
    part = tmp_path / "net.weights.yolo3-part"
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, file.sha256, file.addresses[0], str(tmp_path)],
        cwd=CHECKOUT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "download_weights: interrupted; run this again to resume the download"
    assert "Traceback" not in err
    arrived = part.read_bytes()
    assert arrived
    assert DATA.startswith(arrived)
    assert_only(fetch_quickly(file, tmp_path))
    assert server.requests[-1] == ("/slow", f"bytes={len(arrived)}-")


def test_tensorflow_is_not_imported() -> None:
    code = "import sys, convert.download; sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose path holds spaces, with the real script and code but no .venv."""
    checkout = tmp_path / "my own checkout"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(CHECKOUT / "scripts" / "download_weights", checkout / "scripts")
    (checkout / "convert").symlink_to(CHECKOUT / "convert")
    return checkout


def run_script(checkout: Path, *arguments: str, python3: str = "exit 1") -> subprocess.CompletedProcess[str]:
    """Run the script from another folder, with this as the python3 on PATH."""
    programs = checkout.parent / "programs"
    write_program(programs / "python3", python3)
    return subprocess.run(
        [str(checkout / "scripts" / "download_weights"), *arguments],
        cwd=programs,
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def write_program(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


THIS_PYTHON = f'exec "{sys.executable}" "$@"'


def test_script_runs_in_the_venv(checkout: Path) -> None:
    write_program(checkout / ".venv" / "bin" / "python", THIS_PYTHON)
    done = run_script(checkout, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in NETWORKS)


def test_script_falls_back_to_python3(checkout: Path) -> None:
    done = run_script(checkout, "yolov33", python3=THIS_PYTHON)
    assert (done.returncode, done.stdout) == (2, "")
    assert all(f"'{name}'" in done.stderr for name in NETWORKS)
    assert "Traceback" not in done.stderr


def test_script_without_any_python_says_what_to_do(checkout: Path) -> None:
    done = run_script(checkout, "yolov3")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "scripts/test" in done.stderr
