"""Several commands side by side, each on a GPU of its own."""

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

_SIGNALLED = 128  # and the signal's number, as shells have it


def run_side_by_side(commands: Sequence[Sequence[str]], gpus: Sequence[str], say: Callable[[str], None]) -> list[int]:
    """Run ``commands``, as many at a time as there are ``gpus``, and return their exit statuses in the same order.

    Each sees one GPU, as ``CUDA_VISIBLE_DEVICES`` names it. ``say`` gets their lines as they come, one at a time.
    Ctrl-C and SIGTERM are passed on; what has not begun by then does not, and has the signal's status.
    """
    free: queue.Queue[str] = queue.Queue()
    for gpu in gpus:
        free.put(gpu)
    one_at_a_time = threading.Lock()

    def tell(line: str) -> None:
        with one_at_a_time:
            say(line)

    def run(command: Sequence[str]) -> int:
        gpu = free.get()
        try:
            with signals.started(command, gpu) as process:
                if process is None:
                    return _SIGNALLED + signals.received
                for line in filter(str.strip, process.stdout):
                    tell(line.rstrip("\n"))
            # A process that a signal has killed has the number as its status, with a minus.
            return process.returncode if process.returncode >= 0 else _SIGNALLED - process.returncode
        finally:
            free.put(gpu)

    with _PassedOn() as signals, ThreadPoolExecutor(len(gpus)) as threads:
        return list(threads.map(run, commands))


class _PassedOn:
    """Ctrl-C and SIGTERM go to the processes that were started here, which know how to stop."""

    def __init__(self) -> None:
        self.received = 0
        self._running: set[subprocess.Popen] = set()
        self._former: dict = {}
        self._starting = threading.RLock()

    def __enter__(self) -> "_PassedOn":
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @contextmanager
    def started(self, command: Sequence[str], gpu: str) -> Iterator[subprocess.Popen | None]:
        """The command's process, whose output comes in lines; None where it is time to stop."""
        with self._starting:
            if self.received:
                yield None
                return
            process = subprocess.Popen(
                command,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": gpu},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,  # a progress bar's carriage returns end lines, too
                errors="replace",
            )
            self._running.add(process)
            if self.received:
                process.send_signal(self.received)
        with process:
            yield process
        self._running.discard(process)

    def _pass_on(self, number, frame) -> None:
        self.received = self.received or number
        for process in list(self._running):
            if process.poll() is None:
                process.send_signal(number)
