"""A stand-in of Hugging Face's sign-in: an OpenID provider with a page of consent."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

jwt = pytest.importorskip("joserfc.jwt", reason="tests/requirements.txt is not installed whole")
RSAKey = pytest.importorskip("joserfc.jwk").RSAKey

CLIENT, CLIENT_SECRET = "the-space", "the-space-secret"
_KEY = RSAKey.generate_key(2048, {"kid": "one"})


class Provider(ThreadingHTTPServer):
    """Signs everybody in as `name`, with `token`, once they have pressed its button."""

    name, token = "ada", "hf_oauth_token_of_ada"
    scope = "openid profile inference-api"
    seconds = 28_800

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[dict[str, str]] = []
        """The parameters of every request for consent."""
        self.codes: dict[str, dict[str, str]] = {}

    def metadata(self) -> dict[str, Any]:
        """Where everything is, as in Hugging Face's own `openid-configuration`."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/oauth/authorize",
            "token_endpoint": f"{self.url}/oauth/token",
            "userinfo_endpoint": f"{self.url}/oauth/userinfo",
            "jwks_uri": f"{self.url}/oauth/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def tokens(self, asked: dict[str, str]) -> dict[str, Any]:
        """What a code is changed for."""
        now = int(time.time())
        claims = {
            "sub": "1",
            "name": "Ada",
            "preferred_username": self.name,
            "profile": f"https://huggingface.co/{self.name}",
            "picture": "https://huggingface.co/avatars/1.svg",
            "aud": CLIENT,
            "iss": self.url,
            "iat": now,
            "exp": now + 3600,
            "nonce": asked.get("nonce", ""),
        }
        return {
            "access_token": self.token,
            "token_type": "bearer",
            "expires_in": self.seconds,
            "scope": self.scope,
            "id_token": jwt.encode({"alg": "RS256", "kid": "one"}, claims, _KEY),
        }


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/.well-known/openid-configuration":
            return self._json(self.server.metadata())
        if parts.path == "/oauth/jwks":
            return self._json({"keys": [_KEY.as_dict(private=False)]})
        if parts.path == "/oauth/authorize":
            self.server.asked.append(_flat(parts.query))
            form = f'<form method="post" action="/oauth/consent?{parts.query}">'
            return self._send(200, f"<title>Hub</title>{form}<button>Authorize</button></form>")
        return self._send(404, "")

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if parts.path == "/oauth/consent":
            asked, code = _flat(parts.query), secrets.token_urlsafe()
            self.server.codes[code] = asked
            more = urlencode({"code": code, "state": asked["state"]})
            joint = "&" if "?" in asked["redirect_uri"] else "?"
            return self._send(302, "", location=f"{asked['redirect_uri']}{joint}{more}")
        basic = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        asked = self.server.codes.pop(_flat(body).get("code", ""), None)
        if parts.path != "/oauth/token" or self.headers["authorization"] != f"Basic {basic}":
            return self._send(401, "")
        return self._json(self.server.tokens(asked)) if asked else self._send(400, "")

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value), content_type="application/json")

    def _send(self, status: int, text: str, **headers: str) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"content_type": "text/html", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve a provider on this machine."""
    server = Provider()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
