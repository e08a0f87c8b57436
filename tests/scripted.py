"""A server that answers as it is told, and what it may answer."""

import json
from http.server import BaseHTTPRequestHandler
from typing import ClassVar


class Script(BaseHTTPRequestHandler):
    """Answers as it is told, one reply after the other; the last one stays."""

    replies: ClassVar[list[tuple[int, dict[str, str], bytes]]] = []
    seen: ClassVar[list[tuple[str, str, dict[str, str], bytes]]] = []
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.command, self.path, headers, body))
        status, extra, data = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if not status:  # hang up
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def problem(status: int, code: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    body = {"type": "about:blank", "title": "T", "status": status, "detail": f"told {code}",
            "code": code, "request_id": "r-1"}  # fmt: skip
    return (
        status,
        {"Content-Type": "application/problem+json", **headers},
        json.dumps(body).encode(),
    )


JSON = {"Content-Type": "application/json"}
LIMITS = json.dumps(
    dict.fromkeys(
        (
            "file_bytes",
            "request_bytes",
            "images",
            "pixels",
            "tiles",
            "looks",
            "queue",
            "deadline_seconds",
        ),
        1,
    )
    | {"longest_deadline_seconds": 1, "formats": [], "map_formats": []}
).encode()
SET = json.dumps(
    dict.fromkeys(("name", "item", "created", "note", "origin", "digest"), "part")
    | {"version": 1, "shots": [], "orientation": "fixed", "tiles": 1}
).encode()
