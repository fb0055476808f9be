"""The server answers its own page alone, and serves nothing but the photographs."""

import http.client
import io
import json
import os
import shutil

import pytest
from PIL import Image

from jiaa.serve.album import open_album
from jiaa.serve.server import Server, cookie_name
from jiaa.serve.session import Session


@pytest.fixture(scope="module")
def served(prior, tiny_world, tmp_path_factory):
    """A server on a copy of some photographs, and their folder."""
    root = tmp_path_factory.mktemp("album")
    for path in sorted((tiny_world / "images").rglob("*.*"))[:8]:
        shutil.copy(path, root / path.name)
    album = open_album(root)
    content = prior.encode(album.paths)
    session = Session(prior, album, content, ratings=root / "ratings.csv")
    with Server(session).in_background() as server:
        yield server, root


@pytest.fixture
def ask(served):
    """Sends a request as the page does, with some headers changed (None: left out)."""
    server, _ = served
    token = server.url.partition("token=")[2]

    def send(method, path, body=None, **changed):
        host = f"127.0.0.1:{server.port}"
        headers = {
            "Host": host,
            "Cookie": f"{cookie_name(server.port)}={token}",
            "Origin": f"http://{host}",
            "Content-Type": "application/json",
        }
        headers |= {key.replace("_", "-"): value for key, value in changed.items()}
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.putrequest(method, path, skip_host=True)
        data = b"" if body is None else body
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        if method == "POST":
            headers.setdefault("Content-Length", str(len(data)))
        for name, value in headers.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(data or None)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    return send


def test_the_address_with_its_token_opens_the_page(served, ask):
    server, _ = served
    path = "/" + server.url.partition("/?")[1].strip("/") + server.url.split("/")[-1]
    status, headers, _ = ask("GET", path.replace("??", "?"), Cookie=None)
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    status, headers, body = ask("GET", "/")
    assert status == 200
    assert b"<title>jiaa" in body
    assert "default-src 'none'" in headers["content-security-policy"]


def test_nothing_comes_from_elsewhere(ask):
    for path in ("/", "/style.css", "/page.js"):
        status, _, body = ask("GET", path)
        assert status == 200
        assert b"//" not in body.replace(b"// The rating page", b"")


@pytest.mark.parametrize("path", ["/", "/api/state", "/photo/0", "/style.css"])
@pytest.mark.parametrize(
    "changed",
    [
        {"Cookie": None},
        {"Cookie": "jiaa-1=x"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": None},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_hosts_sites_and_people_are_refused(ask, path, changed):
    status, _, _ = ask("GET", path, **changed)
    assert status in (400, 403)


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": "http://evil.example"},
        {"Origin": None},
        {"Origin": "null"},
        {"Content_Type": "text/plain"},
        {"Content_Length": str(10**9)},
        {"Content_Length": None},
        {"Transfer_Encoding": "chunked"},
        {"Cookie": None},
    ],
)
def test_a_rating_from_elsewhere_is_refused(served, ask, changed):
    _, root = served
    rating = {"image": 0, "stars": 3}
    status, _, _ = ask("POST", "/api/rate", rating, **changed)
    assert status in (400, 403, 413)
    assert not (root / "ratings.csv").exists()


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"image": 0},
        {"image": 0, "stars": 3, "path": "x"},
        {"image": "0", "stars": 3},
        {"image": True, "stars": 3},
        {"image": 0, "stars": float("nan")},
        {"image": 0, "stars": 9},
        {"image": 99, "stars": 3},
        {"image": 10**900, "stars": 3},
        b"[" * 1024,
        b'{"image": 0, "image": 0, "stars": NaN}',
        b"\xff\xfe",
    ],
)
def test_a_malformed_rating_is_refused_with_the_reason(served, ask, body):
    _, root = served
    status, _, answer = ask("POST", "/api/rate", body)
    assert status == 400
    assert json.loads(answer)["error"]
    assert not (root / "ratings.csv").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/photo/../../etc/passwd",
        "/photo/..%2f..%2fetc%2fpasswd",
        "/photo//etc/passwd",
        "/photo/-1",
        "/photo/99",
        "/photo/0.5",
        "/photo/" + 5000 * "9",
        "/photo/%d9%a0",  # a digit elsewhere
        "/photo/%00",
        "/ratings.csv",
        "/raw/0",
        "/page/index.html",
        "/docs",
        "/openapi.json",
    ],
)
def test_nothing_but_the_photographs_is_served(ask, path):
    status, _, body = ask("GET", path)
    assert status == 404
    assert b"root:" not in body


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_the_page_may_rate(ask, method):
    status, _, _ = ask(method, "/api/rate")
    assert status == 405


def test_a_photograph_is_sent_small_and_without_its_exif(served, ask):
    _, root = served
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    name = sorted(path.name for path in root.glob("*.png"))[3]
    Image.new("RGB", (3000, 1500), "red").save(root / name, exif=exif)
    status, headers, body = ask("GET", "/photo/3")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    shown = Image.open(io.BytesIO(body))
    assert shown.size == (1280, 640)
    assert not shown.getexif()
    assert b"where I live" not in body


def test_a_photograph_that_became_a_link_out_is_not_served(served, ask, tmp_path):
    _, root = served
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    victim = sorted(root.glob("*.png"))[4]
    victim.unlink()
    os.symlink(secret, victim)
    assert ask("GET", "/photo/4")[0] == 404


def test_a_photograph_that_is_gone_is_told(served, ask):
    _, root = served
    sorted(root.glob("*.png"))[5].unlink()
    status, _, body = ask("GET", "/photo/5")
    assert status == 404
    assert b"no such image file" in body


def test_a_taken_port_is_named(served):
    server, _ = served
    with pytest.raises(
        OSError, match=rf"port {server.port} of this machine is not to be"
    ):
        Server(server.session, port=server.port)
