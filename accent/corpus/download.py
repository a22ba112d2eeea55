"""Download of Common Voice releases from their distributor, checked, into the folder that the ingest stage reads.

The distributor is Mozilla Data Collective, whose client (datacollective) lists the datasets, asks for the download and
resumes it. Its key is read from MDC_API_KEY, or from a file `.env` here. A download that broke off goes on when the
same command is run again.
"""

import contextlib
import fcntl
import hashlib
import itertools
import os
import re
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import requests
from datacollective import (
    AuthenticationError,
    DatasetDetails,
    RateLimitError,
    download_dataset,
    get_dataset_details,
    list_dataset_filters,
    list_datasets,
)
from datacollective.errors import DownloadError
from tqdm import tqdm

from accent.core.errors import InputError
from accent.corpus.common_voice import ARCHIVES, TSV

LATEST = "latest"
SERIES = "Common Voice Scripted Speech"  # the corpus of read sentences; others of the name are spontaneous speech
NAME = re.compile(rf"{SERIES} (?P<release>\d+\.\d+) - (?P<language>.+)")
KEY = "MDC_API_KEY"
GET_KEY = f"Make one at https://mozilladatacollective.com/profile/credentials, then: export {KEY}=..."
BY_HAND = 'or fetch the archive in a browser and put it into the folder (docs/data.md, "Getting the corpus")'

PAGE_SIZE = 100  # the most that the API gives
RETRIES = 5  # in a row that brought nothing; the waits double from WAIT_SECONDS, half a minute in all
WAIT_SECONDS = 1.0


class Unavailable(InputError):
    """A dataset that cannot be downloaded; the command continues with the others."""


def download(names: Iterable[str], release: str, folder: Path) -> list[str]:
    """Bring the archives of `names` (locales, or ids of datasets) into `folder`; the names that failed come back.

    What would stop every one of them is found before the first byte: no network, no key, too little room.
    """
    failed = []
    with _alone(folder) as partial:
        wanted = {}
        for name in dict.fromkeys(names):
            with _or_failed(name, failed), _told(name):
                dataset = find_dataset(name, release)
                if place := _place(dataset, folder):
                    print(f"{dataset.name}: is in {place} already")
                else:
                    wanted[name] = dataset
        if wanted:
            _check_key()
            _check_room(wanted.values(), partial)
        for name, dataset in wanted.items():
            with _or_failed(name, failed), _told(dataset.name, dataset.datasetUrl):
                print(f"{dataset.name}: {_text(dataset.sizeBytes)}", flush=True)
                archive = _fetch(dataset, partial / dataset.id)
                _verify(archive, dataset)
                os.replace(archive, folder / archive.name)
                shutil.rmtree(partial / dataset.id)
                print(f"{dataset.name}: is in {folder / archive.name} now, {_verified(dataset)}")
    return failed


def find_dataset(name: str, release: str) -> DatasetDetails:
    """The dataset of a locale's release (`latest`, or a version such as 27.0), or the one with the id `name`.

    Raises `Unavailable`, with the datasets there are, if there is no such one.
    """
    found = list_releases(name)
    if not found:
        with contextlib.suppress(FileNotFoundError):
            return get_dataset_details(name)
        locales = ", ".join(sorted(list_dataset_filters().locales))
        raise Unavailable(f"{name}: no {SERIES} of this locale, nor a dataset with this id. Locales there: {locales}")
    if release == LATEST:
        return found[max(found)]
    if _version(release) not in found:
        there = ", ".join(".".join(map(str, version)) for version in sorted(found))
        raise Unavailable(f"{name}: no release {release}. There: {there}; older ones are no longer distributed")
    return found[_version(release)]


def list_releases(locale: str) -> dict[tuple[int, ...], DatasetDetails]:
    """The releases of a locale by version, (27, 0) for 27.0.

    The catalogue also has excerpts under the same locale and version ("27.0 - British English"). None is larger than
    the whole that it is from, so a locale's language is the one of its largest dataset, and the others are left out.
    """
    datasets = []
    for number in itertools.count(1):
        page = list_datasets(SERIES, locale=locale, results_per_page=PAGE_SIZE, page_number=number)
        datasets += page.items
        if not page.items or len(datasets) >= page.total:
            break
    # A search by words: what it finds need not be of this series.
    named = [(NAME.search(dataset.name or ""), dataset) for dataset in datasets if dataset.locale == locale]
    named = [(match, dataset) for match, dataset in named if match]
    if not named:
        return {}
    language = max(named, key=lambda pair: pair[1].sizeBytes or 0)[0]["language"]
    named.sort(key=lambda pair: pair[1].createdAt or "")  # one that was uploaded again counts as it is now
    return {_version(match["release"]): dataset for match, dataset in named if match["language"] == language}


def _version(release: str) -> tuple[int, ...]:
    major, _, minor = release.partition(".")
    return int(major), int(minor or 0)


def _place(dataset: DatasetDetails, folder: Path) -> Path | None:
    """Where a dataset is in `folder`, as an archive or unpacked, or None."""
    filename = dataset.filename or ""
    # The client writes to whatever path the API names.
    if not (re.fullmatch(r"\w[^/\0]*", filename) and filename.endswith(ARCHIVES) and re.fullmatch(r"\w+", dataset.id)):
        raise Unavailable(f"{dataset.name}: its file is {filename!r}, where {' or '.join(ARCHIVES)} is read")
    archive = folder / filename
    if archive.exists():
        if dataset.sizeBytes and archive.stat().st_size != dataset.sizeBytes:
            raise Unavailable(
                f"{archive}: {archive.stat().st_size:,} bytes, but {dataset.name} has {dataset.sizeBytes:,}. "
                "Move it away, then run the same command again"
            )
        return archive
    if match := NAME.search(dataset.name or ""):
        unpacked = folder.glob(f"cv-corpus-{match['release']}-*/{dataset.locale}/{TSV}")
        return next((path.parent for path in unpacked), None)
    return None


def _check_key() -> None:
    if not os.environ.get(KEY):
        raise InputError(f"{KEY} is not set: downloads need a key, which is free. {GET_KEY}")


def _check_room(datasets: Collection[DatasetDetails], partial: Path) -> None:
    """Raise `InputError` where what is still to come has no room: the client begins, and fails hours later."""
    there = sum(path.stat().st_size for dataset in datasets for path in (partial / dataset.id).glob("*"))
    need = sum(dataset.sizeBytes or 0 for dataset in datasets) - there
    free = shutil.disk_usage(partial).free
    if need > free:
        raise InputError(
            f"{partial.parent}: {_text(need)} to come, {_text(free)} free. Make room, or name another disk with --to"
        )


def _fetch(dataset: DatasetDetails, folder: Path) -> Path:
    """The archive of a dataset in `folder`, after as many breaks of the connection as bring something.

    The client resumes by itself, but only when it is called again.
    """
    archive, part = folder / dataset.filename, folder / f"{dataset.filename}.part"
    failures = most = 0
    while True:
        # Killed between the last byte and the renaming, the client asks for what is behind the end, and gets 416.
        if dataset.sizeBytes and _size(part) >= dataset.sizeBytes:
            os.replace(part, archive)
        try:
            return download_dataset(dataset.id, str(folder), show_progress=sys.stdout.isatty())
        except (DownloadError, requests.ConnectionError, requests.Timeout, requests.HTTPError) as error:
            if not _transient(error):
                cause = error.__cause__ or error
                if isinstance(cause, OSError) and cause.errno and not cause.filename:
                    cause.filename = str(part)  # a failed write does not say to which file
                raise cause from None
            failures = 0 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            state = f"{dataset.name}: broke off at {_text(most)} of {_text(dataset.sizeBytes)}"
            if failures > RETRIES:
                raise Unavailable(f"{state}. Look at the network, then run the same command again") from None
            seconds = WAIT_SECONDS * 2**failures
            print(f"{state}; again in {seconds:.0f} s", file=sys.stderr)
            time.sleep(seconds)


def _transient(error: Exception) -> bool:
    """Whether an error of the client may be gone at the next attempt."""
    # The client makes a DownloadError of everything, of Ctrl-C and a full disk too.
    cause = error.__cause__ if isinstance(error, DownloadError) else error
    if isinstance(cause, requests.HTTPError) and cause is error:
        return cause.response.status_code >= 500
    network = (requests.RequestException, ConnectionError, TimeoutError)
    # An answer of the storage, whose link is good for a while only, has no errno: the next attempt gets a new link.
    return isinstance(cause, network) or (isinstance(cause, OSError) and cause.errno is None)


def _verify(archive: Path, dataset: DatasetDetails) -> None:
    """Remove an archive that is not what was published, and raise `Unavailable`.

    The client compares the checksum of two attempts with each other, and never with what has come.
    """
    size, digest = _size(archive), hashlib.sha256()
    wrong = f"{size:,} bytes instead of {dataset.sizeBytes:,}" if size != (dataset.sizeBytes or size) else ""
    if dataset.checksum and not wrong:
        with (
            open(archive, "rb") as raw,
            tqdm.wrapattr(raw, "read", total=size, desc="checksum", mininterval=1, unit="B", unit_scale=True) as file,
        ):
            while block := file.read(2**20):
                digest.update(block)
        if digest.hexdigest() != dataset.checksum.lower():
            wrong = f"its checksum is {digest.hexdigest()}, not {dataset.checksum.lower()}"
    if wrong:
        archive.unlink()
        raise Unavailable(f"{dataset.name}: damaged on its way, {wrong}. It is removed; run the same command again")


def _verified(dataset: DatasetDetails) -> str:
    return "checksum verified" if dataset.checksum else "not verified: no checksum is published"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """A folder inside `folder` for what is not complete, locked, since two downloads would write to the same file.

    The lock stays when all is done: whoever removed it while another waits with it open would let two of them in.
    It is hidden, so that nothing in it counts as a release.
    """
    partial = folder / ".download.partial"
    partial.mkdir(parents=True, exist_ok=True)
    lock = partial / "lock"
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another download is writing here. Wait until it has ended") from None
        yield partial


@contextlib.contextmanager
def _or_failed(name: str, failed: list[str]) -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        print(f"error: {error}", file=sys.stderr)
        failed.append(name)


@contextlib.contextmanager
def _told(what: str, page: str | None = None) -> Iterator[None]:
    """The client's errors in one line each; those of the file system, which have an errno, as they are."""
    try:
        yield
    except AuthenticationError:
        raise InputError(f"{KEY}: this key is not accepted. {GET_KEY}") from None
    except RateLimitError as error:
        seconds = error.response.headers.get("Retry-After")
        when = f"in {seconds} s" if seconds else "tomorrow"
        raise InputError(f"the distributor's limit of requests is reached. Run the same command {when}") from None
    except requests.HTTPError as error:
        raise Unavailable(f"{what}: {_line(error)}. Try again later, {BY_HAND}") from None
    except PermissionError as error:
        if error.errno is not None:
            raise
        raise Unavailable(f"{what}: {_line(error)}. Agree to its terms at {page}, then run this again") from None
    except FileNotFoundError as error:
        if error.errno is not None:
            raise
        raise Unavailable(f"{what}: {_line(error)}. Name another release, {BY_HAND}") from None
    except (ValueError, RuntimeError) as error:  # no JSON, or not what the client expects
        api = os.environ.get("MDC_API_URL", "the distributor")
        raise InputError(f"{what}: {api} does not answer as its API does ({_line(error)[:200]}), {BY_HAND}") from None
    except requests.RequestException as error:
        where = error.request.url.split("?")[0] if error.request else "the distributor"
        raise InputError(f"no answer from {where}. Look at the network and at HTTPS_PROXY, {BY_HAND}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _text(size: float | None) -> str:
    return "unknown size" if size is None else tqdm.format_sizeof(size, "B")
