"""A real `mlflow server` behind a proxy that fails as servers and networks do, on demand."""

from __future__ import annotations

import base64
import datetime
import http.client
import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME, PASSWORD = "anna", "se-cret"
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "host", "content-length"}


class Proxy:
    """fault: None, `error` (500), `reset`, `slow`, `refuse` (401) or `forbid` (403).

    wants_password: 401 without the right user name and password.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.fault: str | None = None
        self.wants_password = False
        self.slow_seconds = 3.0
        self.posts = 0
        self.fail_after_posts: int | None = None
        """So many more writing requests pass, and of the next the answer is lost."""


def _handler(proxy: Proxy) -> type[http.server.BaseHTTPRequestHandler]:
    right = "Basic " + base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if proxy.fault == "reset":
                return self._hang_up()
            if proxy.fault == "slow":
                time.sleep(proxy.slow_seconds)
            status = {"error": 500, "refuse": 401, "forbid": 403}.get(proxy.fault or "")
            if proxy.wants_password and self.headers.get("Authorization") != right:
                status = 401
            if status:
                return self._answer(status, b"no", {})
            upstream = http.client.HTTPConnection(proxy.upstream, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
            if self.command in ("POST", "PUT") and "search" not in self.path:
                proxy.posts += 1
                if proxy.fail_after_posts is not None:
                    proxy.fail_after_posts -= 1
                    if proxy.fail_after_posts < 0:
                        proxy.fault = "reset"
                        return self._hang_up()
            self._answer(answer.status, content, dict(answer.getheaders()))
            return None

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.close()

        def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A connection that was hung up is no news."""


@contextmanager
def proxied(upstream: str, certificate: Path | None = None) -> Iterator[tuple[str, Proxy]]:
    """(address, proxy) in front of a server; TLS with a certificate that `signed` made."""
    proxy = Proxy(upstream)
    server = _Quiet(("127.0.0.1", 0), _handler(proxy))
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}", proxy
    finally:
        server.shutdown()
        server.server_close()


def signed(path: Path) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(encoding))
    return path
