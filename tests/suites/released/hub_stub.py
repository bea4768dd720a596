"""A hub on 127.0.0.1 that serves one data set from a folder, as much of the API as a download asks for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub(repository: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the files that were sent."""
    sent: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
            api, file = f"/api/datasets/{repository}", f"/datasets/{repository}/resolve/{COMMIT}/"
            if path in (api, f"{api}/revision/main"):
                siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
                self.answer(json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode())
            elif path == f"{api}/tree/{COMMIT}":
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": sha1(name.encode() + data).hexdigest()}
                    for name, data in files.items()
                ]
                self.answer(json.dumps(tree).encode())
            elif path.startswith(file) and (name := path.removeprefix(file)) in files:
                sent.extend([name] * (self.command == "GET"))
                self.answer(
                    files[name], {"ETag": f'"{sha1(name.encode() + files[name]).hexdigest()}"', "X-Repo-Commit": COMMIT}
                )
            else:
                self.answer(b"{}", status=404)

        def answer(self, data: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
