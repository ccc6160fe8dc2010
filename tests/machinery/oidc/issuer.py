"""An OpenID Connect issuer on 127.0.0.1 with real keys, which can misbehave.

`python issuer.py` serves one until its standard input ends: it writes its URL, and `GET /token?scope=…&sub=…` returns a
token. Tests in the same process use `Issuer` itself.
"""

import hmac
import json
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

AUDIENCE = "https://shop.example"
SigningKey = RSAKey | ECKey | OKPKey


def rsa_key(kid: str) -> RSAKey:
    """Return a new RSA key."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


def ec_key(kid: str) -> ECKey:
    """Return a new key on the curve P-256."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


def ed_key(kid: str) -> OKPKey:
    """Return a new Ed25519 key."""
    return OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig"})


def algorithm_of(key: SigningKey) -> str:
    """Return the algorithm that tokens of this key have."""
    return "RS256" if isinstance(key, RSAKey) else "ES256" if isinstance(key, ECKey) else "EdDSA"


class Issuer:
    """The issuer. `respond`, if set, replaces its responses: it returns a status, headers and a body."""

    def __init__(self) -> None:
        self.keys: list[SigningKey] = [ec_key("first")]
        self.requests: list[str] = []
        self.respond: Callable[[str], tuple[int, Mapping[str, str], bytes]] | None = None
        self.seconds = 0.0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests.append(self.path)
                time.sleep(issuer.seconds)
                status, headers, body = (issuer.respond or issuer.documents)(self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator["Issuer"]:
        """Serve until the end of the block."""
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    @property
    def fetches(self) -> int:
        """The number of times that its keys were fetched."""
        return self.requests.count("/keys")

    def documents(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        """Return what an issuer publishes."""
        url = urlsplit(path)
        if url.path == "/.well-known/openid-configuration":
            body: Any = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        elif url.path == "/keys":
            body = {"keys": [key.as_dict(private=False) for key in self.keys]}
        elif url.path == "/token":
            claims: dict[str, Any] = {name: value[0] for name, value in parse_qs(url.query).items()}
            return 200, {}, self.token(**claims).encode()
        else:
            return 404, {}, b""
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

    def claims(self, **other: Any) -> dict[str, Any]:
        """Return the claims of a valid token, with others in their place; None leaves one out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600} | other
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, key: SigningKey | bytes | None = None, header: Mapping[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return a token that is signed by the first key, or by another one, or with a secret."""
        return self.signed(json.dumps(self.claims(**claims)).encode(), key, header)

    def signed(
        self, payload: bytes, key: SigningKey | bytes | None = None, header: Mapping[str, Any] | None = None
    ) -> str:
        """Return a token with this payload. It is made by hand, because libraries refuse what attackers send."""
        key = key or self.keys[0]
        named = {"typ": "at+jwt"} | (
            {} if isinstance(key, bytes) else {"kid": key.kid, "alg": algorithm_of(key)}
        )
        named = {name: value for name, value in {**named, **(header or {})}.items() if value is not None}
        message = b".".join(map(encoded, (json.dumps(named).encode(), payload)))
        if isinstance(key, bytes):
            signature = hmac.digest(key, message, "sha256")
        else:
            signature = JWSRegistry.algorithms[algorithm_of(key)].sign(message, key)
        return b".".join((message, encoded(signature))).decode()


def encoded(part: bytes) -> bytes:
    """Return a part of a token."""
    return urlsafe_b64encode(part).rstrip(b"=")


def main() -> None:
    """Serve an issuer until standard input ends."""
    with Issuer().serving() as issuer:
        sys.stdout.write(f"{issuer.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
