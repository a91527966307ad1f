"""A hub on loopback: what fetching a model uses of the Hugging Face hub's HTTP interface, with faults on demand.

Small files come from the hub itself, large ones by a redirect to a store on another port, which knows ranges.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 10_000  # bytes; from here on a file lies in the store


@dataclass
class Fault:
    """What goes wrong. ``drops``: how often the store breaks a connection off, after ``after`` bytes of an answer."""

    drops: int = 0
    after: int = 20_000
    wrong: str = ""  # the file whose content is not what its hash says
    status: int = 0  # of every answer
    code: str = ""  # X-Error-Code that goes with it
    seconds: float = 0.0  # before the store answers
    ranges: bool = True  # whether the store knows ranges
    redirects: int = 0  # hops of the same host before an answer
    no_hashes: bool = False
    other_etag: str = ""  # the file that is called by another hash than it has
    refused: str = ""  # the file that only ``status`` is answered for


@dataclass
class Hub:
    """``files``: their contents by name. ``served``: bytes that the store sent; ``asked``: (method, path, headers)."""

    model: str
    files: dict[str, bytes]
    licence: str = "mit"
    fault: Fault = field(default_factory=Fault)
    served: int = 0
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    store: str = ""

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            entry: dict[str, Any] = {"rfilename": name}
            if not self.fault.no_hashes:
                entry |= {"size": len(content), "blobId": git_sha1(content)}
            if len(content) >= LARGE:
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        return {"id": self.model, "sha": COMMIT, "siblings": siblings, "cardData": {"license": self.licence}}

    def names(self, method: str) -> list[str]:
        """The files that were asked for."""
        mark = f"/resolve/{COMMIT}/"
        return [unquote(path.partition(mark)[2]) for one, path, _ in self.asked if one == method and mark in path]


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextlib.contextmanager
def serve(model: str, files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub with one model, for as long as the block runs."""
    hub = Hub(model, files)
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, kind)) for kind in ("hub", "store")]
    hub.url, hub.store = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _handler(hub: Hub, kind: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            hub.asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
            path = unquote(urlsplit(self.path).path)
            if kind == "store":
                self.from_store(path)
            elif hub.fault.status and not hub.fault.refused:
                self.say(hub.fault.status, b"{}", {"X-Error-Code": hub.fault.code} if hub.fault.code else {})
            elif path.startswith("/api/models/"):
                name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
                if name != hub.model:
                    self.say(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                elif revision not in ("main", COMMIT):
                    self.say(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                else:
                    self.say(200, json.dumps(hub.listing()).encode(), {"Content-Type": "application/json"})
            elif "/resolve/" in path:
                self.resolve(path)
            else:
                self.say(404, b"", {})

        def resolve(self, path: str) -> None:
            name = path.partition("/resolve/")[2].partition("/")[2]
            content = hub.files.get(name)
            if content is None:
                self.say(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                return
            if hub.fault.refused == name:
                self.say(hub.fault.status, b"", {"X-Error-Code": hub.fault.code} if hub.fault.code else {})
                return
            hops = self.path.count("hop=")
            if hops < hub.fault.redirects:
                self.say(307, b"", {"Location": f"{self.path}{'&' if hops else '?'}hop={hops}"})
            elif len(content) < LARGE:
                tag = "f" * 40 if name == hub.fault.other_etag else git_sha1(content)
                self.say(200, self.content(name), {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
            else:
                digest = hashlib.sha256(content).hexdigest()
                tag = "f" * 64 if name == hub.fault.other_etag else digest
                more = {"Location": f"{hub.store}/{digest}", "X-Repo-Commit": COMMIT, "ETag": '"of-the-pointer"'}
                self.say(302, b"", more | {"X-Linked-Etag": f'"{tag}"', "X-Linked-Size": str(len(content))})

        def from_store(self, path: str) -> None:
            time.sleep(hub.fault.seconds)
            digests = {hashlib.sha256(content).hexdigest(): name for name, content in hub.files.items()}
            content = self.content(digests[path.strip("/")])
            asked, status, more = self.headers.get("Range"), 200, {}
            if asked and hub.fault.ranges:
                first = int(asked.removeprefix("bytes=").partition("-")[0])
                status, more = 206, {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
                content = content[first:]
            if hub.fault.drops > 0 and len(content) > hub.fault.after:
                hub.fault.drops -= 1
                self.say(status, content[: hub.fault.after], more | {"Content-Length": str(len(content))})
                self.close_connection = True
                hub.served += hub.fault.after
                return
            hub.served += len(content)
            self.say(status, content, more)

        def content(self, name: str) -> bytes:
            content = hub.files[name]
            return content[:-1] + bytes([content[-1] ^ 1]) if name == hub.fault.wrong else content

        def say(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(OSError):  # whoever asked has gone
                    self.wfile.write(content)

    return Handler
