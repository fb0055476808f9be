"""The rating page over HTTP, for one person on one machine.

Bound to 127.0.0.1, and closed to everybody else there: a request needs the cookie that
only the printed address gives, a Host of this machine (no DNS rebinding), and, where it
changes something, an Origin that is this page. Photographs are asked for by number,
never by path, and are sent as smaller JPEGs without their EXIF. Nothing is loaded from
elsewhere.
"""

import contextlib
import functools
import hmac
import importlib.resources
import io
import json
import re
import secrets
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from jiaa.data.images import ImageError, decode
from jiaa.serve.album import inside
from jiaa.serve.session import Session

ADDRESS = "127.0.0.1"
BODY_LIMIT = 1024  # bytes of a request
SIDES = {"photo": 1280, "thumb": 240}  # longest side in pixels
PAGE = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src "
    "'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses what does not come from the page itself; a layer around the whole app."""

    def __init__(self, app: ASGIApp, *, port: int, token: str):
        """`token` is what the cookie has to hold."""
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in (ADDRESS, "localhost")}
        self._cookie = cookie_name(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers 400, 403 or 413."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return  # no other protocol is spoken here
        refusal = self._refusal(Request(scope))

        async def with_policy(message):
            if message["type"] == "http.response.start":
                extra = [(k.lower().encode(), v.encode()) for k, v in POLICY.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        if refusal is not None:
            status, why = refusal
            answer = JSONResponse({"error": why}, status_code=status)
            return await answer(scope, receive, with_policy)
        await self._app(scope, receive, with_policy)

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        headers = request.headers
        if headers.get("host") not in self._hosts:
            return 403, "this page answers to its own address alone"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "another site asked for this"
        if request.method == "POST":
            if headers.get("origin") != f"http://{headers['host']}":
                return 403, "another site asked for this"
            if headers.get("content-type") != "application/json":
                return 400, "expected application/json"
            length = headers.get("content-length", "")
            # A body in chunks has any length, whatever is said beside it.
            if not length.isdecimal() or "transfer-encoding" in headers:
                return 400, "expected a Content-Length"
            if int(length) > BODY_LIMIT:
                return 413, f"expected {BODY_LIMIT} bytes at most"
        token = request.cookies.get(self._cookie, "")
        first = request.url.path == "/" and "token" in request.query_params
        if first:
            token = request.query_params["token"]
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return 403, "open the address that `jiaa rate` printed"
        return None


def cookie_name(port: int) -> str:
    """Cookies are shared by a machine's ports: each has its own name."""
    return f"jiaa-{port}"


def make_app(session: Session, *, port: int, token: str) -> ASGIApp:
    """The page, its interface and the photographs of `session`."""

    async def page(request: Request) -> Response:
        if "token" in request.query_params:
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie(
                cookie_name(port), token, httponly=True, samesite="strict"
            )
            return answer
        name, kind = PAGE[request.url.path]
        return Response(_asset(name), media_type=kind)

    async def state(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(session.view))

    pictures = Pictures(session)

    async def picture(request: Request) -> Response:
        kind, number = request.url.path.split("/")[1], request.path_params["number"]
        try:
            plain = re.fullmatch("[0-9]{1,9}", number)
            image = int(number) if plain else -1
            body = await run_in_threadpool(pictures, kind, image)
        except (KeyError, LookupError):
            return JSONResponse({"error": "no such photograph"}, status_code=404)
        except ImageError as error:
            return JSONResponse({"error": str(error)}, status_code=404)
        return Response(body, media_type="image/jpeg")

    routes = [
        *(Route(path, page) for path in PAGE),
        Route("/api/state", state),
        Route("/api/rate", _changing(session.rate, image=int, stars=float), methods=_P),
        Route("/api/skip", _changing(session.skip, image=int), methods=_P),
        Route("/api/undo", _changing(session.undo), methods=_P),
        *(Route(f"/{kind}/{{number}}", picture) for kind in SIDES),
    ]
    return Guard(Starlette(routes=routes), port=port, token=token)


_P = ["POST"]


class Pictures:
    """Photographs of a session as JPEG bytes, the last ones kept."""

    def __init__(self, session: Session):
        """Reads nothing yet."""
        self._album = session.album
        self._kept = functools.lru_cache(maxsize=256)(self._read)

    def __call__(self, kind: str, image: int) -> bytes:
        """The photograph number `image`, no side longer than `SIDES[kind]`.

        Raises:
          LookupError: no such photograph, or it became a link out of the folder.
          ImageError: it cannot be read any more.
        """
        if kind not in SIDES or not 0 <= image < len(self._album):
            raise LookupError(image)
        if not inside(self._album.paths[image], self._album.root):
            raise LookupError(image)
        return self._kept(kind, image)

    def _read(self, kind: str, image: int) -> bytes:
        side = SIDES[kind]
        pixels = decode(self._album.paths[image], at_least=side)
        shown = Image.fromarray(pixels)
        shown.thumbnail((side, side), Image.Resampling.LANCZOS)
        body = io.BytesIO()
        shown.save(body, "JPEG", quality=85)
        return body.getvalue()


def _changing(action: Callable[..., Any], **fields: type) -> Callable:
    """A route that calls `action` with these fields of the request's JSON object."""

    async def route(request: Request) -> Response:
        try:
            found = json.loads(await request.body())
            if not isinstance(found, dict) or found.keys() != fields.keys():
                raise ValueError(f"expected an object with {sorted(fields)}")
            for name, kind in fields.items():
                allowed = (int, float) if kind is float else (int,)
                if type(found[name]) not in allowed:
                    raise ValueError(f"{name} is {found[name]!r}, no number")
            given = {name: kind(found[name]) for name, kind in fields.items()}
            view = await run_in_threadpool(action, **given)
        except (ValueError, RecursionError) as error:  # the latter: of nested JSON
            return JSONResponse({"error": str(error)}, status_code=400)
        except OSError as error:
            said = f"not all could be written: {error}"
            return JSONResponse({"error": said}, status_code=500)
        except FloatingPointError as error:
            return JSONResponse({"error": str(error)}, status_code=500)
        return JSONResponse(view)

    return route


@functools.cache
def _asset(name: str) -> bytes:
    return importlib.resources.files("jiaa.serve").joinpath("page", name).read_bytes()


class Server:
    """A session on a port of this machine.

    Attributes:
      session: whose.
      port: which.
      url: what the person opens; it holds the token.
    """

    def __init__(self, session: Session, *, port: int = 0):
        """Takes the port, 0: any free one; nothing is answered yet.

        Raises:
          OSError: the port is taken, kept for others, or no port.
        """
        self.session = session
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((ADDRESS, port))
            # A browser that is faster than `run` waits instead of being refused.
            self._socket.listen()
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise OSError(
                f"port {port} of this machine is not to be had ({error}); leave "
                "--port out, or name another"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(24)
        self.url = f"http://{ADDRESS}:{self.port}/?token={token}"
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                make_app(session, port=self.port, token=token),
                log_level="warning",
                access_log=False,
                limit_concurrency=64,
                timeout_keep_alive=30,
                lifespan="off",
                ws="none",
                server_header=False,
            )
        )

    def run(self) -> None:
        """Answers until it is interrupted, or `stop` is called."""
        try:
            self._uvicorn.run(sockets=[self._socket])
        finally:
            self.close()

    def close(self) -> None:
        """Gives the port back."""
        self._socket.close()

    def stop(self) -> None:
        """Ends `run`, from another thread."""
        self._uvicorn.should_exit = True

    @contextlib.contextmanager
    def in_background(self) -> Iterator["Server"]:
        """Answers in a thread while the context is open: for notebooks and tests."""
        import threading

        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        while not self._uvicorn.started and thread.is_alive():
            thread.join(0.01)
        try:
            yield self
        finally:
            self.stop()
            thread.join()
