"""HTTP/1.1 for every deployment: Uvicorn's httptools protocol, with limits.

Uvicorn accepts a head of any length, waits forever for its end, loses the body of a request that offers an unsupported
upgrade, and sends chunks to HTTP/1.0 clients.
"""

import asyncio
import logging
from collections.abc import MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

logger = logging.getLogger(__name__)

# The limit of the request line and all headers together, of trailers, and of chunk framing.
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 100
MAX_URL_BYTES = 8 * 1024
# The longest time from the first to the last byte of a head.
HEAD_SECONDS = 10.0
# How long, and for how many bytes, the service keeps reading after it rejects a request.
LINGER_SECONDS = 2.0
MAX_DISCARDED_BYTES = 1024 * 1024
# How long a worker that stops waits for a request on an idle connection: the client may be sending one.
DRAIN_SECONDS = 1.0


class Refusal(NamedTuple):
    """The reason for rejecting a request before it reaches the app. The connection closes after the response."""

    status: HTTPStatus
    detail: str


class Refused(Exception):
    """Raised in a callback to stop the parser."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


INVALID = Refusal(HTTPStatus.BAD_REQUEST, "The request is not valid HTTP/1.1.")
TOO_SLOW = Refusal(
    HTTPStatus.REQUEST_TIMEOUT, f"The head of the request took over {HEAD_SECONDS:.0f} seconds."
)
URL_TOO_LONG = Refusal(HTTPStatus(414), f"The URL is over {MAX_URL_BYTES} bytes long.")
HEAD_TOO_LONG = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The head of the request is over {MAX_HEAD_BYTES} bytes long.",
)
TOO_MANY_HEADERS = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request has over {MAX_HEADERS} headers."
)
CONNECT = Refusal(HTTPStatus.NOT_IMPLEMENTED, "This service is not a proxy: CONNECT is not supported.")


class HttpProtocol(HttpToolsProtocol):
    """The connection of a client: `uvicorn --http app.forge.server.protocol:HttpProtocol`."""

    # Slots, because more attributes would exceed the number that CPython stores compactly.
    __slots__ = ("_head_timer", "_in_head", "_is_draining", "_unfinished_bytes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Bytes received since the parser last finished a head, part of a body or a message. Bytes that arrived in one
        # piece with the end of an earlier message are not counted, which is exact enough to bound memory.
        self._unfinished_bytes = 0
        self._in_head = True
        self._is_draining = False
        self.url, self.headers = b"", []
        self._head_timer: asyncio.TimerHandle | None = None

    # --- The connection -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection if it stays idle. Uvicorn itself does so only after the first response."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        self._unset_keepalive_if_required()
        self._stop_head_timer()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection after its next response, or if no request arrives soon.

        Uvicorn closes idle connections at once. A request that is on its way would be lost, and if it is not idempotent,
        the client must not repeat it: https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1
        """
        self._is_draining = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            return
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(DRAIN_SECONDS, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        """Parse the data, and reject a request that is not valid HTTP or exceeds a limit."""
        self._unset_keepalive_if_required()
        self._unfinished_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            reason = error.__context__
            self._refuse(reason.refusal if isinstance(reason, Refused) else INVALID)
        else:
            if self._unfinished_bytes:
                self._limit_unfinished()
            elif self._head_timer is not None:
                self._stop_head_timer()

    def _limit_unfinished(self) -> None:
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            is_url = self._in_head and not self.headers and len(self.url) > MAX_URL_BYTES
            self._refuse(URL_TOO_LONG if is_url else HEAD_TOO_LONG)
        elif self._in_head and self._head_timer is None:
            # In two halves, because after a pause the event loop runs timers before it reads new data.
            self._head_timer = self.loop.call_later(HEAD_SECONDS / 2, self._start_second_half)

    def _start_second_half(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS / 2, self._stop_waiting)

    def _stop_waiting(self) -> None:
        self._head_timer = None
        # The client may have sent the rest: reading is paused while earlier requests are handled.
        if not self.flow.read_paused:
            self._refuse(TOO_SLOW)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    # --- Events of the parser -------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is rejected or offers an upgrade."""
        if self.parser.should_upgrade():
            return
        self._limit_head()
        self._unfinished_bytes = 0
        self._in_head = False
        super().on_headers_complete()
        # A new list, so trailers are not added to the headers of the request.
        self.headers = []
        if self._is_draining:
            self.cycle.keep_alive = False
        if self.scope["http_version"] == "1.0":
            self.cycle.send = _Unchunked(self.cycle).send  # type: ignore[method-assign]

    def on_body(self, body: bytes) -> None:
        """Pass the body to the request."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request's body."""
        if self.parser.should_upgrade():
            return
        self._unfinished_bytes = 0
        self._in_head = True
        super().on_message_complete()

    def _limit_head(self) -> None:
        if len(self.url) > MAX_URL_BYTES:
            raise Refused(URL_TOO_LONG)
        if len(self.headers) > MAX_HEADERS:
            raise Refused(TOO_MANY_HEADERS)
        # Checked only if the limit can be exceeded.
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            fields = sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
            if len(self.url) + fields > MAX_HEAD_BYTES:
                raise Refused(HEAD_TOO_LONG)

    # --- Upgrades -------------------------------------------------------------------------------------------

    def _upgrade(self, rest: bytes) -> None:
        """Open a WebSocket, or parse the request again as if it offered no upgrade.

        httptools treats the data after such a head as another protocol. A server may ignore the offer:
        https://www.rfc-editor.org/rfc/rfc9110#section-7.8
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(CONNECT)
        elif method == b"GET" and self._should_upgrade():
            self._open_websocket()
        else:
            head = self._head_without_upgrade(method)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._unfinished_bytes = 0
            self.data_received(head + rest)

    def _open_websocket(self) -> None:
        try:
            self._limit_head()
        except Refused as refused:
            self._refuse(refused.refusal)
            return
        self._stop_head_timer()
        self.scope["method"] = "GET"
        self.handle_websocket_upgrade()

    def _head_without_upgrade(self, method: bytes) -> bytes:
        version = self.parser.get_http_version().encode()
        fields = [name + b": " + value + b"\r\n" for name, value in self.headers if name != b"upgrade"]
        return b"".join([method, b" ", self.url, b" HTTP/", version, b"\r\n", *fields, b"\r\n"])

    # --- Refusals -------------------------------------------------------------------------------------------

    def _refuse(self, refusal: Refusal) -> None:
        """Send the rejection after earlier responses, then close. All further data from the client is discarded."""
        self._stop_head_timer()
        self.transport.set_protocol(_Discarding(self))
        current, is_queued = self.cycle, bool(self.pipeline)
        if not self._in_head:
            if current.response_started:
                self.transport.close()
                return
            # The rest of its body will never arrive.
            current.disconnected = True
            current.message_event.set()
            if is_queued:
                self.pipeline.popleft()
        is_answering = self._in_head and current is not None and not current.response_complete
        self.cycle = self._refused_cycle()
        app = _RefusedRequest(refusal, self.transport)
        if is_queued or is_answering:
            self.pipeline.appendleft((self.cycle, app))
        else:
            self._start_asgi_task(self.cycle, app)

    def _refused_cycle(self) -> RequestResponseCycle:
        return RequestResponseCycle(
            scope={
                "type": "http",
                "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
                "http_version": "1.1",
                "server": self.server,
                "client": self.client,
                "scheme": self.scheme or "http",
                "method": "",
                "path": "",
                "raw_path": b"",
                "query_string": b"",
                "root_path": self.root_path,
                "headers": self.scope["headers"] if self.scope else [],
                "state": self.app_state.copy(),
                "extensions": {},
            },
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )


class _RefusedRequest:
    """The ASGI app for a rejected request: sends problem details with a request id, logs and counts."""

    def __init__(self, refusal: Refusal, transport: asyncio.Transport) -> None:
        self._refusal = refusal
        self._transport = transport

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Imported lazily, so that `create_app` imports them first, while garbage collection is off.
        from app.forge.http.middleware import RequestIdMiddleware
        from app.forge.observability.metrics import MetricsMiddleware

        async def send_and_stay_open(message: MutableMapping[str, Any]) -> None:
            await send({**message, "more_body": True})

        await RequestIdMiddleware(MetricsMiddleware(self._respond))(scope, receive, send_and_stay_open)
        # Closing while the client is still sending would reset the connection, and the client may lose the response.
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            with suppress(TimeoutError):
                await asyncio.wait_for(receive(), LINGER_SECONDS)
        await send({"type": "http.response.body"})

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        from app.forge.http.problems import problem_response

        request_id = scope["state"]["request_id"]
        logger.warning("Refused a request: %s", self._refusal.detail, extra={"request_id": request_id})
        headers = {"Connection": "close", "Cache-Control": "no-store"}
        response = problem_response(request_id, self._refusal.status, self._refusal.detail, headers=headers)
        await response(scope, receive, send)


class _Discarding(asyncio.Protocol):
    """Reads and discards data from a rejected client, up to a limit."""

    def __init__(self, protocol: HttpProtocol) -> None:
        self._protocol = protocol
        self._bytes_left = MAX_DISCARDED_BYTES

    def data_received(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            self._protocol.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class _Unchunked:
    """Sends responses of unknown length to HTTP/1.0 clients without chunks; closing the connection ends them."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._send = cycle.send

    async def send(self, message: ASGISendEvent) -> None:
        cycle = self._cycle
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            # None would let Uvicorn choose chunks.
            cycle.chunked_encoding = None if b"content-length" in names else False
            self._has_length = b"content-length" in names
        elif message["type"] == "http.response.body" and not self._has_length:
            # Uvicorn compares the length of the body with this number.
            cycle.expected_content_length = len(message.get("body", b""))
        await self._send(message)
