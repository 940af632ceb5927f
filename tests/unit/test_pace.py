"""How many requests run at a time, against servers whose time is made up."""

import asyncio
import heapq
import math
import resource
from itertools import count
from random import Random

import pytest

from fixtures.engines import server
from fixtures.engines.endpoint import Endpoint
from fixtures.engines.pace import MOST, START, Pace
from trainer.study.experiment import load_experiment


class Clock:
    """Time that passes only while everything waits."""

    def __init__(self):
        self.now, self._waiting, self._order = 0.0, [], count()

    async def until(self, moment):
        reached = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (moment, next(self._order), reached))
        await reached

    async def run(self, tasks):
        while not all(task.done() for task in tasks):
            for _ in range(8):
                await asyncio.sleep(0)
            if self._waiting:
                self.now, _, reached = heapq.heappop(self._waiting)
                reached.set_result(None)


class Slots:
    """A server that answers ``slots`` requests at a time, each in some second; others queue, or are refused."""

    def __init__(self, clock, slots, refuses=False):
        self._clock, self._free, self._refuses = clock, [0.0] * slots, refuses
        self.now, self.most, self.refused = 0, 0, 0
        self._random = Random(0)

    async def answers(self):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self._refuses and self.now > len(self._free):
                await self._clock.until(self._clock.now + 0.01)
                self.refused += 1
                return False
            ends = max(self._clock.now, heapq.heappop(self._free)) + self._random.uniform(0.2, 1.8)
            heapq.heappush(self._free, ends)
            await self._clock.until(ends)
            return True
        finally:
            self.now -= 1


def work(slots, questions, start=START, most=MOST, longest_s=math.inf, refuses=False):
    """The pace and the server after so many questions, each asked again until it is answered."""
    clock = Clock()
    pace, server = Pace(start, most, longest_s, lambda: clock.now), Slots(clock, slots, refuses)

    async def ask():
        async with pace.turn() as places:
            while not await server.answers():
                pace.ease(places)
                await clock.until(clock.now + 0.5)
            pace.answered()

    async def run():
        await clock.run([asyncio.create_task(ask()) for _ in range(questions)])

    asyncio.run(run())
    return pace, server, clock.now


@pytest.mark.parametrize(
    ("slots", "least", "most"),
    [
        pytest.param(2000, MOST, MOST, id="never-full"),
        pytest.param(100, 100, 256, id="full-at-100"),
        pytest.param(8, START, 128, id="full-at-8"),
    ],
)
def test_the_number_doubles_while_that_helps(slots, least, most):
    pace, server, seconds = work(slots, 3000)
    assert least <= pace.limit <= most and server.most <= 2 * most
    assert seconds < 2 * 3000 / min(slots, MOST)


def test_no_more_are_sent_than_are_answered_in_time():
    """Of 64 requests, a server with eight places answers the last after eight seconds."""
    pace, server, _ = work(8, 400, longest_s=6)
    assert pace.limit == server.most == START


def test_a_thousand_questions_are_answered_in_a_third_of_the_time():
    assert work(2000, 1034)[2] < work(2000, 1034, START, START)[2] / 3


def test_a_number_that_was_given_stays():
    pace, server, _ = work(2, 200, 4, 4, refuses=True)
    assert pace.limit == server.most == 4


def test_a_server_that_is_too_busy_gets_fewer_until_it_takes_them():
    pace, server, seconds = work(40, 4000, refuses=True)
    assert 20 <= pace.limit <= 40
    assert server.refused < 400 and seconds < 2 * 4000 / 40


def test_requests_that_fail_together_count_once():
    pace = Pace(32, 512)
    for _ in range(10):
        pace.ease(32)
    assert pace.limit == 16
    pace.ease(16)
    assert pace.limit == 8


def test_time_without_requests_is_no_slowness():
    """The second batch begins an hour later; its first answers are no worse for it."""
    clock = Clock()
    pace, server = Pace(4, 64, clock=lambda: clock.now), Slots(clock, 1000)

    async def ask():
        async with pace.turn():
            await server.answers()
            pace.answered()

    async def run():
        for _ in range(3):
            await clock.run([asyncio.create_task(ask()) for _ in range(40)])
            clock.now += 3600

    asyncio.run(run())
    assert pace.limit >= 16


@pytest.mark.parametrize(
    ("given", "workers", "limits"),
    [(0, 1, {START, MOST}), (0, 4, {START // 4, MOST // 4}), (10, 3, {3}), (1, 8, {1})],
)
def test_workers_share_what_the_experiment_says(given, workers, limits, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (65536, 65536))
    monkeypatch.setattr(server, "Pace", lambda start, most, longest_s: made.extend((start, most)) or Pace(start, most))
    experiment, made = load_experiment("miniature"), []
    told = experiment.endpoint.model_copy(update={"concurrency": given})
    connection = server.connect(
        Endpoint("http://here/v1", (), {}), experiment.model_copy(update={"endpoint": told}), workers
    )
    connection.close()
    assert set(made) == limits
