"""Reader to writer without an engine: the contract by itself, for tests and benchmarks. No command runs it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from vedit.video.encoding import EncoderOptions
    from vedit.video.reader import SourceFrame


@dataclass(frozen=True)
class Passed:
    """What came through: the number of frames, and what reader and writer had to say."""

    frames: int
    warnings: list[str]


def run(
    source: str,
    target: str,
    encoder: EncoderOptions | None = None,
    *,
    stream: int | None = None,
    rate: Fraction | None = None,
    audio: bool = True,
    rgb: bool = True,
) -> Passed:
    """Copy a clip through RGB (``rgb``) or by its own samples, decoding and encoding in threads of their own.

    As in an edit, the result is complete or not there. Raises :class:`VeditError`.
    """
    from vedit.video.info import probe
    from vedit.video.queues import Prefetch, Sink
    from vedit.video.reader import Reader
    from vedit.video.writer import Writer

    info = probe(source, stream, rate)
    bits = 8 if info.bits == 8 else 16
    with Reader(source, info) as reader, Writer(target, info, encoder, audio=audio) as writer:

        def write(item: tuple[SourceFrame, np.ndarray | None]) -> None:
            frame, pixels = item
            if pixels is None:
                writer.write_source(frame)
            else:
                writer.write(pixels, frame)

        with Sink(write) as sink, Prefetch(reader) as frames:
            for frame in frames:
                sink.put((frame, frame.rgb(bits) if rgb else None))
            sink.finish()
        writer.commit()
        return Passed(writer.frames, list(dict.fromkeys([*reader.warnings, *writer.warnings])))
