"""Unpacking an archive that somebody else made: once, beside itself, and nowhere else."""

import lzma
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from trainer.study.experiment import ExperimentError
from trainer.study.identity import sampled_hash

MAX_BYTES = 16 << 30  # Spider with its test databases unpacks to under 3 GiB
MAX_MEMBERS = 200_000


class ZipError(ExperimentError):
    """The archive cannot be unpacked, or must not be; the message names it and the reason."""


def unpack(archive: Path) -> Path:
    """The folder with the archive's files: a hidden one beside it, made once, and again when the archive changes.

    Folders that are alone in the one above are descended into. All of it appears in one step: a killed run leaves no
    half. Names with backslashes, as some programs write them, are folders and files all the same.

    Raises:
        ZipError: no zip, damaged, no place to unpack to, or a member that would escape, is a link or is absurdly large.
    """
    target = archive.with_name(f".{archive.stem}-{sampled_hash([archive])[:12]}")
    if not target.is_dir():
        try:
            _unpack(archive, target)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
            raise ZipError(f"{str(archive)!r} is no zip file or is damaged: {error}. Download it again.") from None
        except (RuntimeError, NotImplementedError) as error:  # zipfile's way to refuse encryption and rare compressions
            raise ZipError(
                f"{str(archive)!r} cannot be unpacked: {error}. Unpack it yourself and give the folder."
            ) from None
        except OSError as error:
            reason = error.strerror or error
            raise ZipError(
                f"{str(archive)!r} cannot be unpacked beside itself: {reason}. Unpack it and give the folder."
            ) from None
    return _descend(target)


def _unpack(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        for member in members:
            member.filename = member.filename.replace("\\", "/")
        members = [member for member in members if not _is_litter(PurePosixPath(member.filename))]
        check_members(archive, members)
        unfinished = Path(tempfile.mkdtemp(dir=archive.parent, prefix=f"{target.name}.unfinished-"))
        try:
            opened.extractall(unfinished, members)
            os.rename(unfinished, target)
        except OSError:
            # Another process may have been first; its folder is as good.
            if not target.is_dir():
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def check_members(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse what an honest archive does not hold.

    Raises:
        ZipError: names the first member that would escape its folder or is no plain file, or the sizes.
    """
    for member in members:
        problem = _problem(member)
        if problem:
            raise ZipError(
                f"{str(archive)!r} is not unpacked: its member {member.orig_filename!r} {problem}. "
                "Get it from its official source."
            )
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES or len(members) > MAX_MEMBERS:
        raise ZipError(
            f"{str(archive)!r} is not unpacked: it promises {len(members):,} files of {total / 2**30:,.0f} GiB in all."
        )


def _problem(member: zipfile.ZipInfo) -> str | None:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ":" in member.filename:
        return "has an absolute path or a drive"
    if ".." in path.parts:
        return "escapes its folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    return None if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "is a link or a device"


def _is_litter(path: PurePosixPath) -> bool:
    """Whether it is what a file manager leaves beside people's files."""
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name in (".DS_Store", "Thumbs.db")


def _descend(folder: Path) -> Path:
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return _descend(entries[0]) if len(entries) == 1 and entries[0].is_dir() else folder
