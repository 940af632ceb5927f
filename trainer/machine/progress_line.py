"""How far something has come: a bar that fits the terminal, and a line a minute where lines stay."""

import shutil
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

LOG_INTERVAL_S = 60.0  # between two lines of a log


class ProgressLine:
    """``total`` steps of what ``label`` names, ``done`` of them before; written to stderr where ``visible``.

    On a terminal a bar that is rewritten, never wider than the terminal. Elsewhere, in a CI log or a file, a line when
    a minute has passed since the last, or what is said is to be seen at once. ``leave``: whether a finished bar stays.
    """

    def __init__(self, total: int, label: str, unit: str, *, done: int = 0, visible: bool = True, leave: bool = True):
        self._total, self._label, self._unit, self._done = total, label, unit, done
        self.said, self._next_s = "", time.monotonic() + LOG_INTERVAL_S
        self._logged = visible and not sys.stderr.isatty()
        self._bar = self._rewritten(leave) if visible and not self._logged else None

    def _rewritten(self, leave: bool) -> "tqdm":
        from tqdm import tqdm

        return tqdm(
            total=self._total,
            initial=self._done,
            desc=self._label,
            unit=self._unit,
            bar_format="{desc}: {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]",
            ncols=shutil.get_terminal_size().columns - 1,
            leave=leave,
        )

    def update(self, said: str = "", *, now: bool = False) -> None:
        """One step more; ``said`` stands behind the count. ``now``: it is to be seen at once."""
        self._done += 1
        self.said = said
        if self._bar is not None:
            self._bar.set_postfix_str(said, refresh=now)
            self._bar.update()
        elif self._logged and (now or time.monotonic() >= self._next_s):
            self._next_s = time.monotonic() + LOG_INTERVAL_S
            more = f", {said}" if said else ""
            print(f"{self._label}: {self._done:,} of {self._total:,} {self._unit}s{more}", file=sys.stderr, flush=True)

    def write(self, text: str) -> None:
        """A line of its own, above the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar off the terminal's current line."""
        if self._bar is not None:
            self._bar.close()


def duration(seconds: float) -> str:
    """``04:52``, ``1:04:52``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
