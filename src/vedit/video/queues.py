"""A producer and a consumer in two threads with a bounded queue between them.

``Prefetch`` runs an iterator (decoding) ahead of whoever reads it; ``Sink`` runs a function (encoding) behind whoever
feeds it. An exception on the far side is raised on the near side, and ``close`` ends the far side promptly.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The other side is gone: no more items are taken or given."""


class BoundedQueue(Generic[T]):
    """First in, first out, at most ``size`` items; ``finish`` ends it in order, ``close`` at once, both wake all
    waiters."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("a queue needs room for one item")
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Waits for room; :class:`Closed` when the queue was finished or closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._finished or len(self._items) < self._size)
            if self._closed or self._finished:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T:
        """Waits for an item; after the last one raises the producer's exception, or :class:`Closed`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._finished or bool(self._items))
            if self._items and not self._closed:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None and not self._closed:
                raise self._error
            raise Closed

    def finish(self, error: BaseException | None = None) -> None:
        """No more items will come; what is queued is still handed out, then ``error`` is raised if there is one."""
        with self._changed:
            self._finished = True
            self._error = error
            self._changed.notify_all()

    def close(self) -> None:
        """Drops what is queued and releases both sides."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


class Prefetch(Generic[T]):
    """Iterates ``source`` in a thread, at most ``size`` items ahead; its exception is raised where the items end."""

    def __init__(self, source: Iterable[T], size: int = 4, name: str = "decode") -> None:
        self._source = source
        self._queue: BoundedQueue[T] = BoundedQueue(size)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        error: BaseException | None = None
        iterator = iter(self._source)
        try:
            for item in iterator:
                self._queue.put(item)
                del item  # the queue alone decides how long a frame lives
        except Closed:
            pass
        except BaseException as exc:  # handed to the reading thread, which raises it
            error = exc
        finally:
            close = getattr(iterator, "close", None)
            try:
                if close is not None:
                    close()
            except BaseException as exc:
                error = error or exc
            self._queue.finish(error)

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                item = self._queue.get()
            except Closed:
                return
            yield item

    def close(self) -> None:
        """Stops the thread and waits for it (at most for the item it is making). Safe to call twice."""
        self._queue.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Prefetch[T]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Sink(Generic[T]):
    """Calls ``consume(item)`` in a thread for each item that is put, in order; its exception is raised by
    ``put``/``finish``."""

    def __init__(self, consume: Callable[[T], object], size: int = 4, name: str = "encode") -> None:
        self._consume = consume
        self._queue: BoundedQueue[T] = BoundedQueue(size)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                item = self._queue.get()
                self._consume(item)
                del item
        except Closed:
            pass
        except BaseException as exc:  # handed to the feeding thread, which raises it
            self._error = exc
            self._queue.close()

    def put(self, item: T) -> None:
        """Waits for room; raises what ``consume`` raised, :class:`Closed` after ``finish`` or ``close``."""
        try:
            self._queue.put(item)
        except Closed:
            if self._error is not None:
                raise self._error from None
            raise

    def finish(self) -> None:
        """Waits until every item is consumed; raises what ``consume`` raised."""
        self._queue.finish()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Drops what is queued, stops the thread and waits for it; raises nothing. Safe to call twice."""
        self._queue.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Sink[T]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
