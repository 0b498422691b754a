"""The API's description: complete, and no request made from it breaks the server."""

import os
import re
import subprocess
import sys

import pytest


def test_every_operation_is_described(service):
    description = service.client.get("/openapi.json").json()
    operations = [one for path in description["paths"].values() for one in path.values()]
    assert len(operations) >= 20
    for one in operations:
        assert one["summary"] and one["tags"]
        assert {"401", "403", "421"} <= one["responses"].keys()
    assert {"/v1/detect", "/v1/classify", "/v1/explain", "/v1/videos", "/v1/jobs/{number}"} <= description[
        "paths"
    ].keys()


@pytest.mark.slow
def test_schemathesis_finds_no_server_error(serve, tmp_path):
    """Requests made from the description, valid and not; deliberate 503s are no errors of the server."""
    service = serve()
    (tmp_path / "schemathesis.toml").write_text(
        "request-timeout = 30\n[generation]\nmax-examples = 12\n[phases.stateful]\nenabled = false\n"
    )
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json"]
    command += ["--checks", "not_a_server_error", "--seed", "1", "--exclude-path-regex", "events|mjpeg"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "NO_PROXY": "*"}, capture_output=True, text=True, timeout=500
    )
    statuses = {re.search(r'"status": (\d+)', line)[1] for line in service.access}
    assert not {status for status in statuses if status.startswith("5")} - {"503"}, done.stdout[-3000:]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert len(service.access) > 100
    assert not [note for note in service.notes if "Traceback" in note]
