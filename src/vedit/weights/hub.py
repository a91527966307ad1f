"""Fetching a model from the Hugging Face hub, into the cache that other tools use too. Only ``vedit models pull`` does.

Metadata and the layout of the cache are huggingface_hub's. What is fetched goes to a file beside its place, so that a
download that broke off goes on where it stopped, in another process too; a file gets its name in the cache when its
hash is right.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from vedit.errors import ModelError, ResourceError, UsageError
from vedit.weights import checkpoints
from vedit.weights.bundle import read_json
from vedit.weights.choose import Listed, Variant, choose
from vedit.weights.index import check_index
from vedit.weights.search import DIFFUSERS, HUB_ID, hub_cache

ENDPOINT = "https://huggingface.co"
ATTEMPTS = 3  # that bring no new byte, on top of huggingface_hub's own
SPARE = 100 * 10**6  # bytes of disk that are left alone
_METADATA_SECONDS = 30.0

Progress = Callable[[int, int], None]  # bytes there, bytes in all


@dataclass(frozen=True)
class Pull:
    """What fetching a model means. ``files``: all that it needs; ``missing``: those that are not in the cache."""

    id: str
    commit: str
    revision: str  # as asked for: a commit, or a branch such as main
    files: tuple[Listed, ...]
    missing: tuple[Listed, ...]
    licence: str
    terms: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def to_fetch(self) -> int:
        """Bytes that are still to come; what broke off before counts as there."""
        return sum(max(file.size - _size(partial(self.id, file)), 0) for file in self.missing)


def endpoint() -> str:
    """``$HF_ENDPOINT`` (a mirror), or the hub itself."""
    return (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def is_offline() -> bool:
    """Whether ``$HF_HUB_OFFLINE`` or ``$TRANSFORMERS_OFFLINE`` forbids the network."""
    told = (os.environ.get(name, "").upper() for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value in {"1", "ON", "YES", "TRUE"} for value in told)


def plan(model: str, *, revision: str | None = None, variant: Variant = "auto") -> Pull:
    """Ask the hub what ``model`` is made of. Fetches no file of it.

    Raises ``UsageError`` for what is no id and offline, and ``ModelError`` when the hub does not have it or say it.
    """
    row = checkpoints.find(model)
    if row is not None and not row.on_hub:
        raise ModelError(f"{row.id}: is not on the Hugging Face hub ({row.home}); {row.why}")
    if row is None and not HUB_ID.fullmatch(model):
        raise UsageError(f"{model}: is no id of the hub; give OWNER/NAME{_perhaps(model)}")
    model = row.id if row is not None else model
    if is_offline():
        raise UsageError(f"{model}: $HF_HUB_OFFLINE forbids the network; unset it to fetch a model")
    revision = revision or (row.revision if row is not None else None) or "main"
    from huggingface_hub import HfApi

    with _told(model, revision):
        answer = HfApi(endpoint=endpoint()).model_info(
            model, revision=revision, files_metadata=True, timeout=_METADATA_SECONDS
        )
    listed = [_listed(one, model) for one in answer.siblings or ()]
    if not answer.sha:
        raise ModelError(f"{model}: {endpoint()} does not say which commit {revision} is; is it a hub?")
    files = choose(listed, row, variant, model)
    missing = tuple(file for file in files if not snapshot(model, answer.sha).joinpath(file.name).is_file())
    card = answer.card_data
    named = str(getattr(card, "license_name", None) or getattr(card, "license", None) or "none stated")
    return Pull(
        model, answer.sha, revision, tuple(files), missing,
        licence=row.licence if row is not None else named,
        terms=row.terms if row is not None else f"read {endpoint()}/{model} before you use it",
    )  # fmt: skip


def check_disk(pull: Pull) -> None:
    """Raise ``ResourceError`` unless what is missing fits on the disk of the cache."""
    folder = hub_cache()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if pull.to_fetch + SPARE > free:
        raise ResourceError(
            f"{folder}: {pull.to_fetch / 1e9:.1f} GB are to come and {free / 1e9:.1f} GB are free; make room, or name "
            "another folder with $HF_HUB_CACHE"
        )


def fetch(pull: Pull, progress: Progress | None = None) -> Path:
    """Fetch what is missing, check every hash, and return the folder. Raises ``ModelError`` or ``ResourceError``.

    What was fetched stays when it breaks off, so that a second call goes on from there.
    """
    check_disk(pull)
    done, total = pull.size - pull.to_fetch, pull.size

    def came(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    came(0)
    folder = snapshot(pull.id, pull.commit)
    for file in pull.missing:
        _fetch_file(pull, file, came)
        if file.name == DIFFUSERS:
            check_index(read_json(folder / file.name), (one.name for one in pull.files), f"{pull.id}: {file.name}")
    _point(pull, pull.files[0])  # so that a name such as main is kept for what was asked for
    return folder


def snapshot(model: str, commit: str) -> Path:
    """The folder of one commit in the cache, there or not."""
    return _storage(model) / "snapshots" / commit


def here(model: str) -> bool:
    """Whether some of a model of the hub is in the cache. Looks no further."""
    return any((_storage(model) / "snapshots").glob("*"))


def partial(model: str, file: Listed) -> Path:
    """Where a file is while it comes."""
    return _storage(model) / "blobs" / f"{file.digest}.vedit.incomplete"


def digest_of(path: Path, like: str) -> str:
    """A file's hash of the kind that ``like`` is: sha256 (64 digits), or git's sha1 of a blob (40 digits)."""
    if len(like) == 64:
        content = hashlib.sha256()
    else:
        content = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            content.update(chunk)
    return content.hexdigest()


def _fetch_file(pull: Pull, file: Listed, came: Callable[[int], None]) -> None:
    """Bring one file into the cache and its name into the snapshot."""
    from huggingface_hub.utils import WeakFileLock

    storage = _storage(pull.id)
    blob, coming = storage / "blobs" / file.digest, partial(pull.id, file)
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock = hub_cache() / ".locks" / storage.name / f"{file.digest}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if not blob.is_file():
            if _size(coming) > file.size:
                coming.unlink()  # not what we think it is
            _download(pull, file, coming, came)
            if digest_of(coming, file.digest) != file.digest:
                coming.unlink()
                raise ModelError(
                    f"{pull.id}: {file.name} came damaged: its hash is not the one that {endpoint()} names; "
                    "try again, or without the mirror if $HF_ENDPOINT is set"
                )
            os.replace(coming, blob)
    _point(pull, file)


def _download(pull: Pull, file: Listed, coming: Path, came: Callable[[int], None]) -> None:
    """Write what is missing of a file after what is there, trying again as long as something comes."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(pull.id, file.name, revision=pull.commit, endpoint=endpoint())
    failures = 0
    while True:
        there = _size(coming)
        try:
            with _told(pull.id, pull.revision, file.name), coming.open("ab") as stream:
                counted: Any = _Counted(stream, came)
                bar: Any = _NoBar
                about = get_hf_file_metadata(url, endpoint=endpoint(), timeout=_METADATA_SECONDS)
                headers = build_hf_headers()
                if urlsplit(about.location).netloc != urlsplit(url).netloc:
                    headers.pop("authorization", None)  # a store for large files: its address is signed
                http_get(
                    about.location, counted, resume_size=there, headers=headers,
                    expected_size=file.size, displayed_filename=file.name, tqdm_class=bar,
                )  # fmt: skip
            return
        except ModelError as error:
            # Only a connection that broke is worth another try; a refusal stays one.
            cause = error.__cause__
            if not isinstance(cause, (HTTPError, OSError)) or getattr(cause, "response", None) is not None:
                raise
            failures = 0 if _size(coming) > there else failures + 1
            if failures >= ATTEMPTS:
                raise


def _point(pull: Pull, file: Listed) -> None:
    """Let the library write the name of a file that is in the cache into the snapshot, and the branch beside it.

    Where a mirror calls the file by another hash the library fetches it again, and that nobody compared: then this
    raises ``ModelError``.
    """
    from huggingface_hub import hf_hub_download

    for revision in dict.fromkeys((pull.commit, pull.revision)):
        with _told(pull.id, pull.revision, file.name):
            found = hf_hub_download(pull.id, file.name, revision=revision, cache_dir=hub_cache(), endpoint=endpoint())
        blob = Path(found).resolve()
        if blob.name == file.digest or not Path(found).is_symlink():
            continue
        right = digest_of(blob, file.digest) == file.digest
        blob.unlink()
        Path(found).unlink()
        if not right:
            raise ModelError(
                f"{pull.id}: {file.name} came damaged: {endpoint()} names one hash and sends another file; try again "
                "without the mirror, or where the model has just changed, once more"
            )
        # The same content by another name: what was checked keeps the name that says so.
        os.symlink(os.path.relpath(_storage(pull.id) / "blobs" / file.digest, Path(found).parent), found)


class _Counted:
    """A file that tells how much was written, and takes it back when the server sends all from the start."""

    def __init__(self, stream: IO[bytes], came: Callable[[int], None]) -> None:
        self._stream = stream
        self._came = came

    def write(self, data: bytes) -> int:
        self._came(len(data))
        return self._stream.write(data)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def truncate(self) -> int:
        end = self._stream.seek(0, os.SEEK_END)
        self._stream.seek(0)
        self._came(-end)
        return self._stream.truncate(0)


class _NoBar:
    """What http_get wants as a progress bar."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def update(self, count: float = 1) -> None:
        pass

    def close(self) -> None:
        pass

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


@contextlib.contextmanager
def _told(model: str, revision: str, file: str = "") -> Iterator[None]:
    """What the hub or the network refuses becomes one line of ours; the library's own log stays quiet meanwhile."""
    from huggingface_hub import errors

    where = f"{model}: {file}" if file else model
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{model}: wants an account that agreed to its terms; agree at {ENDPOINT}/{model}, then log in with "
            "`hf auth login` or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{model}: has no revision {revision}; leave --revision out for the usual one") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"{model}: no such model at {endpoint()}, or one that only its owners see (then log in with "
            f"`hf auth login` or set HF_TOKEN){_perhaps(model)}"
        ) from error
    except errors.LocalEntryNotFoundError as error:  # a file that is here, and the network went before it has a name
        raise ModelError(
            f"{where}: {endpoint()} cannot be reached or broke off ({_short(error)}); what came is kept, so the same "
            "command goes on from there"
        ) from error
    except errors.EntryNotFoundError as error:
        raise ModelError(f"{where}: the hub lists it and does not have it; try again later") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        denied = "; log in with `hf auth login`, or check the rights of HF_TOKEN" if status in (401, 403) else ""
        raise ModelError(f"{where}: {endpoint()} answers {status}{denied or '; try again later'}") from error
    except errors.OfflineModeIsEnabled as error:
        raise UsageError(f"{model}: $HF_HUB_OFFLINE forbids the network; unset it to fetch a model") from error
    except (errors.HTTPError, errors.FileMetadataError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"{where}: the disk of {hub_cache()} is full; what came is kept: make room and run it again, or name "
                "another folder with $HF_HUB_CACHE"
            ) from error
        if isinstance(error, OSError) and error.filename is not None:
            raise  # the disk, not the network
        raise ModelError(
            f"{where}: {endpoint()} cannot be reached or broke off ({_short(error)}); what came is kept, so the same "
            "command goes on from there"
        ) from error
    except ValueError as error:  # an answer that is no JSON, an id that the library refuses
        raise ModelError(f"{where}: {endpoint()} does not answer as a hub does ({_short(error)})") from error
    finally:
        log.setLevel(level)


def _listed(sibling: Any, model: str) -> Listed:
    digest = sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id
    name = str(sibling.rfilename)
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", digest) or sibling.size is None:
        raise ModelError(f"{model}: the hub does not say size and hash of {name}; is $HF_ENDPOINT a whole mirror?")
    if name.startswith("/") or ".." in name.split("/"):
        raise ModelError(f"{model}: names a file outside of itself ({name}); it is not to be trusted")
    return Listed(name, int(sibling.size), digest)


def _storage(model: str) -> Path:
    return hub_cache() / f"models--{model.replace('/', '--')}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _perhaps(model: str) -> str:
    close = checkpoints.resembling(model)
    return f"; did you mean {' or '.join(close)}?" if close and model not in close else ""


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
