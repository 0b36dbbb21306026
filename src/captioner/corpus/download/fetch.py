"""Fetch one file of a registry: whole, with the right md5, or not at all."""

import errno
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from captioner.corpus.download import zenodo
from captioner.corpus.download.locks import connection, exclusive
from captioner.corpus.download.part import CHUNK_BYTES, Part, md5_of
from captioner.corpus.download.registry import Entry
from captioner.corpus.download.transfer import ATTEMPTS, UnavailableError, download
from captioner.errors import InputError
from captioner.job import Progress

LOCKS = ".locks"  # folder of lock files, beside the keys
AUDIO = "audio"  # folder that archives are unpacked into, beside that of the downloads
UNPACKED_RATIO = 14 / 9  # unpacked audio to archive: Clotho's 9 GB of 7z hold 14 GB of 16-bit wavs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Expected:
    """What the file has to be, and who says so."""

    md5: str  # "": not known
    size_bytes: int | None
    told_by: str


def fetch(
    entry: Entry,
    folder: str | Path,
    *,
    mirrors: Sequence[str] = (),
    offline: bool = False,
    registry: Sequence[Entry] = (),
    api: str = zenodo.API,
) -> Path:
    """Put the file of `entry` at `folder/{key}/{file}`, verified by md5 and size; return the path.

    A file already there is kept if its md5 is right, and otherwise set aside as `<file>.corrupt`.
    Sources are tried in order: each of `mirrors` (base URLs or local folders that hold the files
    by name), then the entry's url. A transfer that breaks off goes on where it stopped, in this
    process or another. Processes that want the same file wait for the one that fetches it.

    What the registry does not state (md5, size), Zenodo's record API (`api`) is asked, once; the
    answer is pinned in `<file>.pin.json` and rules from then on.

    With `offline`, no socket is opened: only folders and `file:` URLs are read, and the error
    lists every file of `registry` that is missing. `InputError` says what each source answered.
    """
    folder = Path(folder)
    destination = folder / entry.key / entry.file
    known = _known(entry, zenodo.read_pin(destination))
    if known.md5 and _is_whole(destination, known):  # only whole files have this name: no lock
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCKS / entry.key / f"{entry.file}.lock"
    with exclusive(lock, entry.file):
        return _Fetch(entry, folder, mirrors, offline, registry, api).run()


@dataclass
class _Fetch:
    """One file, by the only process that may write it now; the fields are those of `fetch`."""

    entry: Entry
    folder: Path
    mirrors: Sequence[str]
    offline: bool
    registry: Sequence[Entry]
    api: str

    def __post_init__(self) -> None:
        self._destination = self.folder / self.entry.key / self.entry.file
        self._asked = False
        self._pin = zenodo.read_pin(self._destination)  # written while we waited, perhaps
        self._known = _known(self.entry, self._pin)

    def run(self) -> Path:
        if not self._known.md5:
            self._ask()
        if _is_whole(self._destination, self._known):
            return self._destination
        if self._destination.exists():
            self._set_aside()
        answers = []
        for source in self._sources():
            log.info("%s: from %s", self.entry.file, source)
            try:
                if _is_local(source):
                    self._copy(Path(url2pathname(urlsplit(source).path)))
                else:
                    if source == self.entry.url and self._is_to_be_asked():
                        self._ask()
                    self._download(source)
            except UnavailableError as answer:
                answers.append(f"  {source}: {answer}")
                log.warning("%s from %s: %s", self.entry.file, source, answer)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise _disk_full(error, self._destination) from error
                answers.append(f"  {source}: {error}")
            else:
                log.info("%s is there, md5 %s", self._destination, self._known.md5)
                return self._destination
        raise self._missing() if self.offline else self._failure(answers)

    def _sources(self) -> Iterator[str]:
        """Yield the addresses of the file in the order to try them; no http one when offline."""
        entry = self.entry
        record = self.folder / f"zenodo-{entry.zenodo_record}"  # before its md5 was registered
        if (record / entry.file).exists() and record != self._destination.parent:
            yield (record / entry.file).absolute().as_uri()
        for source in [*(_address(mirror, entry) for mirror in self.mirrors), entry.url]:
            if _is_local(source) or not self.offline:
                yield source

    def _is_to_be_asked(self) -> bool:
        """Before a transfer from Zenodo: a pin is compared with what the record says now."""
        entry = self.entry
        stated = entry.md5 and entry.size_bytes is not None
        return bool(entry.zenodo_record and not stated and not self._asked)

    def _ask(self) -> None:
        """Ask Zenodo what the registry does not state, and pin it."""
        entry, pin = self.entry, self._pin
        self._asked = True
        if self.offline:
            raise self._missing()
        attempts = 1 if self._known.md5 else ATTEMPTS  # the size alone is worth no waiting
        try:
            answer = zenodo.ask_record(str(entry.zenodo_record), entry.file, self.api, attempts)
        except UnavailableError as fault:
            if not self._known.md5:
                raise InputError(
                    f"{entry.file}: its md5 is not in the registry, and Zenodo does not tell it: "
                    f"{fault}\nWhat to do: try again later, or write the md5 into the registry"
                ) from None
            log.warning("%s: its size could not be asked: %s", entry.file, fault)
            return
        if pin and not pin.agrees(answer):
            path = zenodo.pin_path(self._destination)
            raise InputError(
                f"{entry.file}: Zenodo's record {answer.record} now states md5 {answer.md5} and "
                f"{answer.size_bytes} bytes; on {pin.asked} it stated md5 {pin.md5} and "
                f"{pin.size_bytes} bytes, pinned in {path}: the published file has changed.\n"
                "What to do: find out why; delete the pin if the new file is the right one"
            )
        if entry.md5 not in ("", answer.md5) or entry.size_bytes not in (None, answer.size_bytes):
            raise InputError(
                f"{entry.file}: Zenodo's record {answer.record} states md5 {answer.md5} and "
                f"{answer.size_bytes} bytes, the registry md5 {entry.md5 or 'unknown'} and "
                f"{entry.size_bytes} bytes: it is another file.\n"
                "What to do: correct the registry's url, md5 or size"
            )
        if not pin:
            zenodo.write_pin(self._destination, answer)
            log.info("%s: pinned md5 %s, %d bytes", entry.file, answer.md5, answer.size_bytes)
            self._pin, self._known = answer, _known(entry, answer)

    def _set_aside(self) -> None:
        aside = self._destination.with_name(self._destination.name + ".corrupt")
        self._destination.replace(aside)
        log.warning(
            "%s is not the file that %s names (md5 %s): set aside as %s and fetched anew",
            self._destination, self._known.told_by, self._known.md5, aside.name,
        )  # fmt: skip

    def _copy(self, source: Path) -> None:
        """Copy from a folder; the part of a download is left alone."""
        if not source.is_file():
            raise UnavailableError("no such file")
        size, known = source.stat().st_size, self._known
        if known.size_bytes not in (None, size):
            raise UnavailableError(f"the file there has {size} bytes, expected {known.size_bytes}")
        self._need(size, size)
        with (
            source.open("rb") as read,
            Part(self._destination.with_name(self._destination.name + ".copy")) as part,
            Progress(size, self.entry.file, "B", scale=True) as progress,
        ):
            try:
                part.restart()
                while chunk := read.read(CHUNK_BYTES):
                    part.append(chunk)
                    progress.advance(len(chunk))
                found = part.finish()
                if found != known.md5:
                    raise UnavailableError(f"the file there has md5 {found}, expected {known.md5}")
                part.rename(self._destination)
            finally:
                part.discard()

    def _download(self, url: str) -> None:
        """Fetch by HTTP; what was pieced together wrongly is fetched once more, whole."""
        path = self._destination.with_name(self._destination.name + ".part")
        known = self._known
        for _ in range(2):
            host = urlsplit(url).netloc
            with connection(self.folder / LOCKS, host), Part(path) as part:
                download(url, part, self.entry.file, known.size_bytes, self._need)
                found = part.finish()
                if found == known.md5:
                    return part.rename(self._destination)
                part.discard()
            if not part.resumed:
                break
            log.warning(
                "%s: md5 %s after a resume; fetched once more, whole", self.entry.file, found
            )
        raise UnavailableError(
            f"the file there has md5 {found}, expected {known.md5} ({known.told_by})"
        )

    def _need(self, size: int, missing: int) -> None:
        """Check that there is room for what is missing, and for what the archive unpacks to."""
        needs = {self._destination.parent: float(missing)}
        audio = self.folder.parent / AUDIO
        if self.entry.kind == "audio_archive":
            same = not audio.exists() or audio.stat().st_dev == self.folder.stat().st_dev
            place = self._destination.parent if same else audio
            needs[place] = needs.get(place, 0) + UNPACKED_RATIO * size
        for place, needed in needs.items():
            free = shutil.disk_usage(place).free
            if needed > free:
                raise InputError(
                    f"{place} has {_readable(free)} free; {self.entry.file} needs "
                    f"{_readable(needed)}: {_readable(missing)} to come"
                    + (f", {_readable(needed - missing)} unpacked" if needed > missing else "")
                    + ".\nWhat to do: make room and start again; what has come is kept"
                )

    def _failure(self, answers: list[str]) -> InputError:
        entry = self.entry
        return InputError(
            f"{entry.file} could not be fetched\n  url: {entry.url}\n  md5: {self._known.md5}\n"
            + "".join(f"{answer}\n" for answer in answers)
            + "What to do: if the server was busy, start again (what has come is kept); else check "
            f"the registry's url, md5 and size, or put the file at {self._destination}"
        )

    def _missing(self) -> InputError:
        """Name every file of the registry that is not there: who fetches them does it once."""
        missing = [e for e in self.registry if e != self.entry and not self._is_at_hand(e)]
        told = []
        for entry in [self.entry, *missing]:
            place = self.folder / entry.key / entry.file
            known = _known(entry, zenodo.read_pin(place))
            told.append(
                f"  {entry.file}\n    url: {entry.url}\n    md5: {known.md5 or _UNKNOWN_MD5}\n"
                f"    put it at: {place}\n"
            )
        count = "1 file is" if len(told) == 1 else f"{len(told)} files are"
        return InputError(
            f"{count} missing and `offline` is on\n{''.join(told)}What to do: put the files there, "
            "or name a folder that holds them in `mirrors`"
        )

    def _is_at_hand(self, entry: Entry) -> bool:
        addresses = [_address(mirror, entry) for mirror in self.mirrors] + [entry.url]
        places = [Path(url2pathname(urlsplit(a).path)) for a in addresses if _is_local(a)]
        return any(path.exists() for path in [self.folder / entry.key / entry.file, *places])


_UNKNOWN_MD5 = "not known: fetch it online once, or write it into the registry"


def _known(entry: Entry, pin: zenodo.Pin | None) -> _Expected:
    """Take each value from the registry, or else from the pin."""
    size = entry.size_bytes
    if pin is None or (entry.md5 and size is not None):
        return _Expected(entry.md5, size, "the registry")
    told_by = "the registry" if entry.md5 else f"Zenodo's record {pin.record} as of {pin.asked}"
    return _Expected(entry.md5 or pin.md5, pin.size_bytes if size is None else size, told_by)


def _is_whole(path: Path, known: _Expected) -> bool:
    if not path.exists() or known.size_bytes not in (None, path.stat().st_size):
        return False
    whole = md5_of(path) == known.md5
    if whole:
        log.info("%s is there already, md5 %s", path, known.md5)
    return whole


def _address(mirror: str, entry: Entry) -> str:
    """Give the URL of a file in a mirror: a base URL, or a local folder."""
    if urlsplit(mirror).scheme in ("http", "https", "file"):
        return f"{mirror.rstrip('/')}/{quote(entry.file)}"
    return (Path(mirror).absolute() / entry.file).as_uri()


def _is_local(source: str) -> bool:
    return urlsplit(source).scheme == "file"


def _readable(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e7 else f"{n_bytes / 1e6:.2g} MB"


def _disk_full(error: OSError, destination: Path) -> InputError:
    part = destination.with_name(destination.name + ".part")
    kept = f"the first {part.stat().st_size} bytes are kept" if part.exists() else "nothing is kept"
    return InputError(
        f"{destination.parent}: {error.strerror}, while {destination.name} was written; {kept}.\n"
        "What to do: make room and start again; the transfer goes on from there"
    )


def place(stored: Path, output: str | Path, *, keep: bool = True) -> None:
    """Make `output` a symbolic link to a stored file: relative, so that both can be moved.

    A rule's output must not be the stored file: Snakemake removes outputs before a job that is to
    make them and after one that failed, and other workflows may be reading it. Unless `keep`, the
    file itself becomes the output, and can be removed for good.
    """
    output = Path(output)
    if output.absolute() == stored.absolute():
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    if keep:
        output.symlink_to(os.path.relpath(stored.absolute(), output.parent.resolve()))
    else:
        shutil.move(stored, output)
