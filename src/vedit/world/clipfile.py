"""World clips as files: H.264 with, if wanted, a sound track made of notes and wind."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from vedit import x264


def melody(seed: int, seconds: float, rate: int = 44100) -> np.ndarray:
    """``(samples,)`` float32 in [-1, 1]: plucked notes of a pentatonic scale over soft wind."""
    rng = np.random.default_rng([seed, 90])
    count = round(seconds * rate)
    t = np.arange(count) / rate
    wind = np.convolve(rng.normal(0, 1, count + 400), np.hanning(400) / 200, "valid")[:count]
    sound = 0.05 * wind * (1 + 0.5 * np.sin(2 * np.pi * 0.3 * t))
    scale = 220.0 * 2 ** (np.array([0, 2, 4, 7, 9, 12, 14, 16]) / 12)
    for start in np.arange(0, seconds, 0.25):
        since = np.maximum(t - start, 0.0)
        note = float(rng.choice(scale))
        sound += (
            0.18
            * (t >= start)
            * np.exp(-5 * since)
            * (np.sin(2 * np.pi * note * since) + 0.4 * np.sin(4 * np.pi * note * since))
        )
    return np.clip(sound, -1, 1).astype(np.float32)


def write_clip(path: Path, frames: np.ndarray, fps: int = 24, crf: int = 12, sound: np.ndarray | None = None) -> None:
    """Write float32 ``(T, H, W, 3)`` frames in [0, 1] (even sizes) as BT.709 H.264 with ``sound`` (44.1 kHz) as AAC."""
    import av

    with av.open(
        str(path),
        "w",
        options={"movflags": "faststart", "fflags": "bitexact"} if path.suffix == ".mp4" else {"fflags": "bitexact"},
    ) as out:
        options = {"crf": str(crf), "preset": "medium", "threads": "1", **x264.steady()}
        video = out.add_stream("libx264", rate=fps, options=options)
        video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        video.codec_context.color_range = 1
        video.codec_context.colorspace = video.codec_context.color_primaries = video.codec_context.color_trc = 1
        audio = out.add_stream("aac", rate=44100, layout="mono") if sound is not None else None
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.round(np.clip(frame, 0, 1) * 255).astype(np.uint8), format="rgb24")
            picture = picture.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
            picture.pts, picture.time_base = index, Fraction(1, fps)
            out.mux(video.encode(picture))
        out.mux(video.encode())
        if audio is not None and sound is not None:
            for at in range(0, len(sound), 1024):
                block = av.AudioFrame.from_ndarray(sound[None, at : at + 1024], format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = 44100, at, Fraction(1, 44100)
                out.mux(audio.encode(block))
            out.mux(audio.encode())
