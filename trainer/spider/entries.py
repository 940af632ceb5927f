"""Spider's JSON files, each a list of entries: read whole, and what is missing or damaged said in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from trainer.study.experiment import ExperimentError
from trainer.study.outside import read_json

REMEDY = 'Download Spider and pass --spider DIR_OR_ZIP (see README, "Data").'
# Of databases that are not beside the questions.
ELSEWHERE = "Pass the folder that has the databases as --spider and, where they lie elsewhere, --spider-questions=FILE."
DAMAGED = "The copy is damaged; download Spider again."

T = TypeVar("T")


class SpiderDataError(ExperimentError):
    """Spider's files are missing or damaged; the message names the file and the remedy."""


def read_entries(path: Path, parse: Callable[[int, dict], T]) -> list[T]:
    """``parse(place, entry)`` of every entry of a JSON list.

    Raises:
        SpiderDataError: no such file, not a JSON list, or an entry that is not what ``parse`` needs.
    """
    try:
        entries = read_json(path)
    except FileNotFoundError:
        raise SpiderDataError(f"Spider's {path.name} not found in {str(path.parent)!r}. {REMEDY}") from None
    except OSError as error:
        raise SpiderDataError(f"{str(path)!r} cannot be read: {error.strerror or error}. {REMEDY}") from None
    except ValueError as error:  # JSON and UTF-8 errors alike
        raise SpiderDataError(f"{str(path)!r} is not valid JSON: {error}. {DAMAGED}") from None
    if not isinstance(entries, list):
        raise SpiderDataError(f"{str(path)!r} is not a JSON list but {type(entries).__name__}. {DAMAGED}")
    return [_entry(path, place, entry, parse) for place, entry in enumerate(entries)]


def _entry(path: Path, place: int, entry: dict, parse: Callable[[int, dict], T]) -> T:
    try:
        return parse(place, entry)
    except KeyError as error:
        problem = f"lacks {error}"
    except (IndexError, TypeError, ValueError) as error:
        problem = f"is malformed ({error})"
    raise SpiderDataError(f"{str(path)!r}: entry {place} {problem}. {DAMAGED}")
