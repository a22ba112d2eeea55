"""The page's server without a browser: visitors who leave early."""

import socket
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from accent.page.serve import HOST, Handler

LARGE = bytes(50 * 2**20)  # more than the sockets between the two hold


class Natives:
    """A corpus of one recording."""

    def addresses(self) -> dict[str, list[str]]:
        return {"Bonjour.": ["natives/long.mp3"]}

    def audio(self, name: str) -> bytes:
        return LARGE


@pytest.mark.parametrize("path", ["natives/long.mp3", "large.bin"])
def test_a_visitor_who_leaves_before_the_end_is_no_error(path, tmp_path: Path, capfd):
    (tmp_path / "large.bin").write_bytes(LARGE)
    server = ThreadingHTTPServer((HOST, 0), partial(Handler, directory=str(tmp_path), natives=Natives()))
    server.daemon_threads = False  # so that to close the server is to wait for them
    threading.Thread(target=server.serve_forever).start()
    with socket.create_connection((HOST, server.server_port)) as visitor:
        visitor.sendall(f"GET /{path} HTTP/1.0\r\n\r\n".encode())
        assert visitor.recv(2**16).startswith(b"HTTP/1.0 200 OK")
    server.shutdown()
    server.server_close()
    assert capfd.readouterr() == ("", "")
