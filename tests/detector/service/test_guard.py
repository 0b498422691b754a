"""Who is answered, with which headers, and what is written down of it."""

import json

import pytest

from detector.errors import SettingsError
from detector.service.settings import ServiceSettings

TOKEN = "correct horse battery"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "0.0.0.0"}, "--insecure"),
        ({"host": "::"}, "YOLO3_TOKEN"),
        ({"host": "example.org"}, "can be reached by others"),
        ({"token": "short"}, "at least 16"),
        ({"port": 70000}, "0 to 65535"),
        ({"root_path": "yolo3"}, "such as /yolo3"),
        ({"keep_hours": 0}, "--keep-hours"),
    ],
)
def test_settings_that_are_refused(models, fields, words):
    with pytest.raises(SettingsError, match=words):
        ServiceSettings(models=models, **fields)


def test_hosts_that_others_reach_need_a_token_or_consent(models):
    for fields in ({"token": TOKEN}, {"insecure": True}):
        assert ServiceSettings(models=models, host="0.0.0.0", **fields).hosts is None
    assert ServiceSettings.token_of({"YOLO3_TOKEN": " "}) is None


def test_every_answer_has_security_headers_and_none_has_cors(service):
    for path in ("/", "/static/app.js", "/v1/models", "/nowhere", "/v1/jobs/x"):
        headers = service.client.get(path, headers={"Origin": "https://elsewhere.example"}).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert not [name for name in headers if name.startswith("access-control-")]
        assert "server" not in headers or "uvicorn" in headers["server"]


def test_the_page_loads_nothing_from_elsewhere(service):
    for path in ("/", "/docs", "/static/style.css", "/static/app.js", "/static/docs.js"):
        answer = service.client.get(path)
        assert answer.status_code == 200
        for word in ('src="http', 'href="http', "url(http", "@import", 'from "http'):
            assert word not in answer.text


def test_other_host_names_are_refused_without_a_token(service, serve):
    assert service.client.get("/v1/models", headers={"Host": "evil.example:8000"}).status_code == 421
    assert service.client.get("/v1/models", headers={"Host": "localhost:9"}).status_code == 200
    named = serve(allowed_hosts=("objects.example",))
    assert named.client.get("/v1/models", headers={"Host": "objects.example"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_pages_of_other_sites_cannot_post(service, flag, encoded, headers):
    answer = service.client.post("/v1/detect", files={"picture": encoded(flag)}, headers=headers)
    assert answer.status_code == 403
    assert service.client.post(
        "/v1/detect", files={"picture": encoded(flag)}, headers={"Origin": service.url}
    ).is_success


def test_a_token_is_asked_for(serve):
    service = serve(token=TOKEN)
    client = service.client

    for path in ("/v1/models", "/metrics", "/openapi.json", "/v1/jobs/x", "/v2/models/colours", "/v1/cameras"):
        refused = client.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert client.get("/v1/models", headers={"Authorization": f"Bearer {TOKEN}x"}).status_code == 401
    assert client.get("/v1/models", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    for path in ("/", "/static/style.css", "/healthz", "/readyz", "/v2/health/live"):
        assert client.get(path).status_code in (200, 503)


def test_a_browser_gets_a_cookie_for_the_token(serve):
    client = serve(token=TOKEN).client

    assert client.post("/v1/session", json={"token": "wrong"}).status_code == 401
    answer = client.post("/v1/session", json={"token": TOKEN})

    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and TOKEN not in cookie
    assert client.get("/v1/models").status_code == 200
    client.cookies.set("yolo3_session", "guessed")
    client.cookies.clear()
    assert client.get("/v1/models").status_code == 401


def test_a_mistake_of_the_server_shows_nothing_of_its_inside(serve, flag, encoded):
    service = serve()
    service.service.memory = None  # as a mistake in the code would leave it

    answer = service.post("/v1/detect", encoded(flag))

    assert answer.status_code == 500
    assert answer.json()["error"]["kind"] == "internal"
    assert "Traceback" not in answer.text and ".py" not in answer.text
    assert "content-security-policy" in answer.headers
    number = answer.headers["x-request-id"]
    assert any(number in note and "Traceback" in note for note in service.notes)


def test_errors_carry_no_path(service, models):
    answer = service.post("/v1/detect", b"\x89PNG\r\n\x1a\n broken")
    assert answer.status_code == 422
    assert str(models) not in answer.text and "passwd" not in answer.text


def test_the_access_log_is_json_without_what_clients_sent(service, flag, encoded):
    service.client.post("/v1/detect?classes=red", files={"picture": encoded(flag)})
    line = json.loads(service.access[-1])
    assert (line["method"], line["route"], line["status"], line["client"]) == ("POST", "/v1/detect", 200, "127.0.0.1")
    assert line["milliseconds"] > 0 and "red" not in service.access[-1]


def test_metrics_count_requests_by_route(service):
    service.client.get("/v1/models")
    text = service.client.get("/metrics").text
    assert 'yolo3_requests_total{route="/v1/models",method="GET",status="200"}' in text
    assert "# TYPE yolo3_request_seconds histogram" in text


def test_a_proxy_may_show_it_under_a_path(serve, flag, encoded):
    service = serve(root_path="/yolo3")
    assert service.client.get("/openapi.json").json()["servers"] == [{"url": "/yolo3"}]
    assert service.post("/v1/detect", encoded(flag)).status_code == 200
    assert service.client.get("/yolo3/v1/models").status_code == 200
