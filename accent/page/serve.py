"""Serve the learner's page on this machine, with native recordings of the corpus beside it.

python -m accent.page.serve
"""

import argparse
import json
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from accent.core.errors import InputError, run
from accent.page.natives import Natives

HOST = "127.0.0.1"


class Handler(SimpleHTTPRequestHandler):
    """The built page's files, and in `natives.json` and `natives/` what the corpus has."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript", ".wasm": "application/wasm"}  # noqa: RUF012

    def __init__(self, *args, natives: Natives | None, **kwargs) -> None:
        self.natives = natives
        super().__init__(*args, **kwargs)

    def handle(self) -> None:
        with suppress(ConnectionError):  # the visitor left before all of it was there
            super().handle()

    def do_GET(self) -> None:
        path = unquote(self.path.split("?")[0])
        if self.natives and path == "/natives.json":
            self._answer(json.dumps(self.natives.addresses()).encode(), "application/json")
        elif self.natives and path.startswith("/natives/"):
            audio = self.natives.audio(path.removeprefix("/natives/"))
            if audio is None:
                self.send_error(404)
            else:
                self._answer(audio, "audio/mpeg")
        else:
            super().do_GET()

    def _answer(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # the page's own worker keeps its files
        super().end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing: what is practised stands in no log."""


def make_server(page: Path, clips: Path, port: int) -> ThreadingHTTPServer:
    """A server that listens on this machine only; raises `InputError` where there is no page or no such port."""
    try:
        target = json.loads((page / "ear.json").read_text(encoding="utf-8"))["target"]
    except (OSError, ValueError, KeyError):
        raise InputError(f"{page}: no page here. 'make web' builds it") from None
    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError:
        raise InputError(f"--port: {port} is in use, or not for you to use. Name another") from None
    try:
        natives = Natives(clips, target)
    except InputError as error:
        print(f"no native recordings: {error}")
        natives = None
    server.RequestHandlerClass = partial(Handler, directory=str(page), natives=natives)
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the learner's page on this machine.")
    parser.add_argument("--page", type=Path, default=Path("web/dist"), help="the built page (default: web/dist)")
    parser.add_argument("--clips", type=Path, default=Path("data/clips"), help="clips with native recordings")
    parser.add_argument(
        "--port", type=int, default=7860, choices=range(65536), metavar="0-65535", help="0: any free one"
    )
    args = parser.parse_args()
    with make_server(args.page, args.clips, args.port) as server:
        print(f"Accent is at http://{HOST}:{server.server_port}. Ctrl-C stops it.", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    run(main)
