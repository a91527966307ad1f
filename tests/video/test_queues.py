from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from vedit.video.queues import Closed, Prefetch, Sink


def test_items_come_in_order_and_never_run_far_ahead() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for k in range(50):
            made.append(k)
            yield k

    seen = []
    for item in Prefetch(source(), size=3):
        seen.append(item)
        assert len(made) <= item + 6
    assert seen == list(range(50))


def test_producers_exception_arrives_after_its_items() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise RuntimeError("decoder")

    seen = []
    with pytest.raises(RuntimeError, match="decoder"):  # noqa: PT012
        for item in Prefetch(source()):
            seen.append(item)
    assert seen == [1]


def test_closing_early_stops_the_producer_and_runs_its_clean_up() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            k = 0
            while True:
                yield k
                k += 1
        finally:
            closed.set()

    before = threading.active_count()
    with Prefetch(source(), size=2) as prefetch:
        assert next(iter(prefetch)) == 0
    assert closed.is_set()
    assert threading.active_count() == before


def test_sink_consumes_everything_in_order() -> None:
    seen: list[int] = []
    with Sink(seen.append, size=2) as sink:
        for k in range(20):
            sink.put(k)
        sink.finish()
    assert seen == list(range(20))
    with pytest.raises(Closed):
        sink.put(1)


def test_consumers_exception_reaches_a_waiting_feeder() -> None:
    def consume(item: int) -> None:
        if item == 3:
            raise OSError("disk full")

    with Sink(consume, size=1) as sink, pytest.raises(OSError, match="disk full"):  # noqa: PT012
        for k in range(1000):
            sink.put(k)
    sink = Sink(consume, size=5)
    sink.put(3)
    with pytest.raises(OSError, match="disk full"):
        sink.finish()


def test_closing_a_sink_drops_what_is_queued() -> None:
    seen: list[int] = []

    def slow(item: int) -> None:
        time.sleep(0.1)
        seen.append(item)

    sink = Sink(slow, size=50)
    for k in range(50):
        sink.put(k)
    sink.close()
    assert len(seen) < 10
