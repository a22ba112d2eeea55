"""The download, against a server here that answers as the distributor's API does, and breaks off as networks do."""

import fcntl
import hashlib
import json
import re
import resource
import signal
import subprocess
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from accent.core.errors import InputError
from accent.corpus import download as module
from accent.corpus.common_voice import ClassFilter, read_releases
from accent.corpus.download import download, find_dataset
from tests.helpers import ROOT, run, write_release

BLOCK = 2**16  # what the client writes at once: of one that breaks off nothing is kept
FR, EN = "Common Voice Scripted Speech 27.0 - French", "Common Voice Scripted Speech 27.0 - English"


class Distributor(ThreadingHTTPServer):
    """Mozilla Data Collective's API for datasets, as its OpenAPI document and its client describe it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.datasets, self.contents = {}, {}
        self.breaks, self.stall = [], None  # bytes after which the next answers break off; an answer that hangs there
        self.terms = self.pages = None  # the id whose terms were not agreed to; the page size, if smaller than asked
        self.limit = False
        self.asked = []  # the Range of every request for an archive, None for a whole one

    def publish(self, name, locale, content, **changes):
        dataset_id = f"cid{len(self.datasets):05d}"
        slug = re.sub(r"\W+", "-", name).lower()
        self.contents[dataset_id] = content
        self.datasets[dataset_id] = {
            **{"id": dataset_id, "slug": slug, "name": name, "locale": locale, "task": "ASR", "isPaid": False},
            **{"filename": f"{slug}.tar.gz", "createdAt": f"2026-09-{len(self.datasets) + 1:02d}T00:00:00.000Z"},
            **{"sizeBytes": len(content), "checksum": hashlib.sha256(content).hexdigest()},
            "datasetUrl": f"{self.url}/datasets/{dataset_id}",
            **changes,
        }
        return dataset_id


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        datasets = self.server.datasets
        match url.path.split("/")[1:]:
            case ["api", "datasets"]:
                found = [data for data in datasets.values() if data["locale"] == query["locale"]]
                size, page = int(self.server.pages or query["limit"]), int(query["page"])
                self.answer(200, {"items": found[(page - 1) * size : page * size], "total": len(found)})
            case ["api", "datasets", "filters"]:
                locales = sorted({data["locale"] for data in datasets.values()})
                self.answer(200, {"tasks": ["ASR"], "locales": locales, "licenses": [], "formats": []})
            case ["api", "datasets", name]:
                found = [data for data in datasets.values() if name in (data["id"], data["slug"])]
                self.answer(200, found[0]) if found else self.answer(404, {"error": "Dataset not found"})
            case ["storage", dataset_id]:
                self.send_archive(self.server.contents[dataset_id])
            case ["portal", *_]:  # a network that asks to log in first
                self.answer(200, "<html>Welcome!</html>")
            case _:
                self.answer(404, {"error": "no such page"})

    def do_POST(self):
        dataset_id = self.path.split("/")[3]
        if self.headers["Authorization"] != "Bearer good":
            return self.answer(401, {"error": "Invalid API key"})
        if self.server.limit:
            return self.answer(429, {"error": "Daily download limit reached"}, {"Retry-After": "3600"})
        if self.server.terms == dataset_id:
            return self.answer(403, {"error": "You must agree to the dataset's terms"})
        data = self.server.datasets[dataset_id]
        url = f"{self.server.url}/storage/{dataset_id}?signature=x"
        self.answer(
            200,
            {"downloadUrl": url, "sizeBytes": str(len(self.server.contents[dataset_id])), "checksum": data["checksum"]},
        )

    def send_archive(self, content):
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(content):
            return self.answer(416, {})
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.server.stall:
            self.wfile.write(content[start : self.server.stall])
            self.wfile.flush()
            time.sleep(30)
        cut = self.server.breaks.pop(0) if self.server.breaks else len(content)
        self.wfile.write(content[start : start + cut])

    def answer(self, status, document, headers=None):
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def archive_of(folder, locale, release="27.0"):
    """A release's archive of one locale, as bytes."""
    write_release(folder / "made", locales=locale, speakers=16)
    path = folder / f"{locale}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder / "made" / locale, f"cv-corpus-{release}-2026-09-11/{locale}")
    return path.read_bytes()


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return {locale: archive_of(folder, locale) for locale in ("fr", "en")}


@pytest.fixture
def server(archives, monkeypatch):
    with Distributor() as distributor:
        distributor.daemon_threads = True
        distributor.block_on_close = False
        threading.Thread(target=distributor.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("MDC_API_URL", f"{distributor.url}/api")
        monkeypatch.setenv("MDC_API_KEY", "good")
        monkeypatch.setattr(module, "WAIT_SECONDS", 0)
        distributor.fr = distributor.publish(FR, "fr", archives["fr"])
        distributor.en = distributor.publish(EN, "en", archives["en"])
        yield distributor
        distributor.shutdown()


def left(folder):
    """The files in a folder, without the lock of the download, which stays."""
    found = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.endswith(".download.partial/lock"))


def command(*arguments, cwd, ok=True):
    return run(sys.executable, "-m", "accent.download", *arguments, cwd=cwd, ok=ok, PYTHONPATH=str(ROOT))


def test_what_was_downloaded_is_read_by_ingest_and_not_downloaded_again(server, tmp_path, capsys):
    first = command("fr", "en", cwd=tmp_path)
    assert first.stdout.count("checksum verified") == 2
    assert "To use it: dvc exp run -S ingest.releases=data/raw" in first.stdout
    raw = tmp_path / "data" / "raw"
    sources = read_releases(raw, [ClassFilter(locale="fr"), ClassFilter(locale="en")], tmp_path / "spool")
    assert sorted((source.rows["locale"].iloc[0], len(source.rows), len(source.files)) for source in sources) == [
        ("en", 32, 32),
        ("fr", 32, 32),
    ]
    assert len(left(raw)) == 2
    assert download(["en", "fr"], "27.0", raw) == []
    assert capsys.readouterr().out.count("already") == 2
    assert len(server.asked) == 2
    for private in ("data/raw/x.tar.gz", ".env"):
        run("git", "check-ignore", private, cwd=ROOT)


def test_broken_connections_are_resumed_where_they_broke(server, archives, tmp_path, capsys):
    server.breaks = [BLOCK + 10_000, 2 * BLOCK, 0, 0, BLOCK + 1]
    assert download(["fr"], "latest", tmp_path) == []
    blocks = [1, 3, 3, 3, 4]  # of these many whole blocks every attempt but the first goes on
    assert server.asked == [None, *(f"bytes={BLOCK * number}-" for number in blocks)]
    (name,) = left(tmp_path)
    assert (tmp_path / name).read_bytes() == archives["fr"]
    assert capsys.readouterr().err.count("broke off at") == 5


def test_one_that_never_gets_through_leaves_its_part_for_the_next_run_and_nothing_for_ingest(server, tmp_path, capsys):
    server.breaks = [3 * BLOCK] + [0] * (module.RETRIES + 1)
    assert download(["fr", "en"], "latest", tmp_path) == ["fr"]  # and en comes
    *_, error = [line for line in capsys.readouterr().err.splitlines() if FR in line]
    assert re.fullmatch(r"error: .*French: broke off at 197kB of .* run the same command again", error)
    assert [len(read_releases(tmp_path, [ClassFilter(locale="en")], tmp_path.parent / "spool"))] == [1]
    server.asked.clear()
    assert download(["fr", "en"], "latest", tmp_path) == []
    assert server.asked == [f"bytes={3 * BLOCK}-"]
    assert len(left(tmp_path)) == 2


@pytest.mark.parametrize(("how", "ends"), [(signal.SIGINT, "interrupted"), (signal.SIGKILL, "")])
def test_interrupted_it_does_not_try_again_by_itself_and_goes_on_later(server, archives, tmp_path, how, ends):
    server.stall = 2 * BLOCK
    child = subprocess.Popen(
        [sys.executable, "-m", "accent.download", "fr", "--to", str(tmp_path / "raw")],
        **{"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    part = tmp_path / "raw" / ".download.partial" / server.fr / f"{server.datasets[server.fr]['filename']}.part"
    while not (part.exists() and part.stat().st_size == BLOCK * 2):
        time.sleep(0.02)
        assert child.poll() is None, child.stderr.read()
    with pytest.raises(InputError, match="another download is writing here"):
        download(["fr"], "latest", tmp_path / "raw")
    child.send_signal(how)
    assert child.communicate(timeout=10)[1].strip() == ends
    with pytest.raises(InputError, match="no cv-corpus"):
        read_releases(tmp_path / "raw", [ClassFilter(locale="fr")], tmp_path / "spool")
    server.stall = None
    assert download(["fr"], "latest", tmp_path / "raw") == []
    assert server.asked == [None, f"bytes={2 * BLOCK}-"]
    (name,) = left(tmp_path / "raw")
    assert (tmp_path / "raw" / name).read_bytes() == archives["fr"]


def test_of_several_that_wait_with_the_lock_open_one_at_a_time_gets_it(tmp_path):
    """Who opened the lock while the first download ran must not get in beside the third."""
    with module._alone(tmp_path) as partial:
        waiting = open(partial / "lock", "w")  # noqa: SIM115
    with waiting, module._alone(tmp_path):
        with pytest.raises(BlockingIOError):
            fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(InputError, match="another download is writing here"), module._alone(tmp_path):
            raise AssertionError("two at once")


def test_a_disk_that_fails_is_named_and_no_reason_to_try_again(server, tmp_path, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * BLOCK, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*french.tar.gz.part"):
            download(["fr"], "latest", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "again in" not in capsys.readouterr().err
    assert download(["fr"], "latest", tmp_path) == []
    assert server.asked == [None, f"bytes={2 * BLOCK}-"]


def test_killed_between_the_last_byte_and_its_place(server, archives, tmp_path):
    dataset = server.datasets[server.fr]
    partial = tmp_path / ".download.partial" / server.fr
    partial.mkdir(parents=True)
    (partial / f"{dataset['filename']}.part").write_bytes(archives["fr"])
    (partial / f"{dataset['filename']}.checksum").write_text(dataset["checksum"])
    assert download(["fr"], "latest", tmp_path) == []
    assert server.asked == []
    assert left(tmp_path) == [dataset["filename"]]


@pytest.mark.parametrize("damage", [b"", b"!" + bytes(8), None])
def test_damaged_on_the_way_is_removed_and_told(server, archives, tmp_path, capsys, damage):
    good = server.contents[server.fr]
    # shorter, as long, and a checksum of another file
    server.contents[server.fr] = good[:-9] + damage if damage is not None else good
    if damage is None:
        server.datasets[server.fr]["checksum"] = "0" * 64
    assert download(["fr"], "latest", tmp_path) == ["fr"]
    error = capsys.readouterr().err
    assert "French: damaged on its way" in error
    assert not any(name.endswith((".gz", ".part")) for name in left(tmp_path))
    server.contents[server.fr], server.datasets[server.fr]["checksum"] = good, hashlib.sha256(good).hexdigest()
    assert download(["fr"], "latest", tmp_path) == []


def test_what_stops_all_is_told_in_one_line_before_the_first_byte(server, tmp_path, monkeypatch):
    def told(pattern, *names):
        with pytest.raises(InputError, match=pattern) as caught:
            download(names or ["fr", "en"], "latest", tmp_path)
        assert "\n" not in str(caught.value)
        assert server.asked == left(tmp_path) == []

    monkeypatch.delenv("MDC_API_KEY")
    told("^MDC_API_KEY is not set.*free. Make one at https://.*export MDC_API_KEY=")
    monkeypatch.setenv("MDC_API_KEY", "bad")
    told("^MDC_API_KEY: this key is not accepted. Make one at ")
    monkeypatch.setenv("MDC_API_KEY", "good")
    server.limit = True
    told("limit of requests is reached. Run the same command in 3600 s")
    server.datasets[server.en]["sizeBytes"] = 10**18
    told("1.00EB to come, .* free. Make room, or name another disk with --to")
    monkeypatch.setenv("MDC_API_URL", f"{server.url}/portal")
    told("^fr: http.*/portal does not answer as its API does")
    monkeypatch.setenv("MDC_API_URL", "http://127.0.0.1:9/api")
    told("^no answer from http://127.0.0.1:9/api/datasets. Look at the network.*or fetch the archive in a browser")


def test_a_locale_that_cannot_be_had_does_not_stop_the_others(server, tmp_path):
    server.publish("Common Voice Spontaneous Speech 5.0 - Breton", "br", b"x")
    server.terms = server.fr
    failed = command("fr", "xx", "br", "en", "--to", "raw", cwd=tmp_path, ok=False)
    errors = failed.stderr.splitlines()
    lines = [line for line in errors if line.startswith("error: ")]
    assert len(lines) == 3
    assert lines[0] == (
        "error: xx: no Common Voice Scripted Speech of this locale, nor a dataset with this id. "
        "Locales there: br, en, fr"
    )
    assert lines[1].startswith("error: br: no Common Voice Scripted Speech of this locale")
    assert "You must agree to the dataset's terms. Agree to its terms at" in lines[2]
    assert f"/datasets/{server.fr}" in lines[2]
    assert left(tmp_path / "raw") == [server.datasets[server.en]["filename"]]


def test_the_release_that_is_asked_for(server, archives, tmp_path):
    old = server.publish("Common Voice Scripted Speech 9.0 - English", "en", archives["en"])
    again = server.publish("Common Voice Scripted Speech 9.0 - English", "en", archives["en"] + b" ")
    excerpt = server.publish("Common Voice Scripted Speech 26.0 - British English", "en", b"small")
    server.publish("Common Voice Spontaneous Speech 30.0 - English", "en", archives["en"] * 2)
    server.pages = 2
    assert old != again
    assert find_dataset("en", "latest").id == server.en
    assert find_dataset("en", "9").id == find_dataset("en", "9.0").id == again
    with pytest.raises(InputError, match=r"^en: no release 26.0. There: 9.0, 27.0; older ones"):
        find_dataset("en", "26.0")
    assert find_dataset(excerpt, "latest").id == excerpt  # by its id


def test_what_is_in_the_folder_already_is_left_alone(server, tmp_path, capsys):
    other = tmp_path / server.datasets[server.en]["filename"]
    other.write_bytes(b"half of it")
    unpacked = tmp_path / "cv-corpus-27.0-2026-09-11" / "fr"
    unpacked.mkdir(parents=True)
    (unpacked / "validated.tsv").touch()
    assert download(["fr", "en"], "latest", tmp_path) == ["en"]
    told = capsys.readouterr()
    assert f"{FR}: is in {unpacked} already" in told.out
    assert f"{other}: 10 bytes, but {EN} has" in told.err
    assert other.read_bytes() == b"half of it"
    assert server.asked == []


@pytest.mark.parametrize("filename", ["../../out.tar.gz", ".hidden.tar.gz", "corpus.zip", None])
def test_a_file_name_that_leads_elsewhere_is_refused(server, tmp_path, filename, capsys):
    server.datasets[server.fr]["filename"] = filename
    assert download(["fr"], "latest", tmp_path) == ["fr"]
    assert "its file is" in capsys.readouterr().err
    assert server.asked == left(tmp_path) == []
