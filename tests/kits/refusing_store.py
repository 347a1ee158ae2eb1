"""An S3 endpoint on this machine that refuses everything."""

from __future__ import annotations

import threading
from typing import Any

from pydantic import SecretStr

from catalog.storage.bucket_path import BucketPath
from catalog.storage.credentials import S3Access


class Refusing:
    """An S3 endpoint that answers every request with one error, or stops in the middle of its answer."""

    def __init__(self, status: int, code: str, cut: bool = False) -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        body = f"<Error><Code>{code}</Code><Message>told by the endpoint</Message></Error>".encode()

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) + (1000 if cut else 0)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _answer  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def path(self) -> BucketPath:
        access = S3Access(
            endpoint=f"http://127.0.0.1:{self.server.server_port}",
            key=SecretStr("the-key"),
            secret=SecretStr("the-secret"),
        )
        return BucketPath("bucket", "cubes", access)
