"""``--report DIR``: one folder with a page that plays source and edits in step, plots every measure and shows the rest.

The page needs no network and opens from disk: videos and pictures lie beside it, everything else is in it. The folder
appears under its name when it is complete.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import os
import re
import shutil
import string
import tempfile
from array import array
from collections.abc import Iterator
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vedit import x264
from vedit.errors import UsageError
from vedit.metrics.evaluate import SOURCE, Answer, Figure, Question, failures_of, labels, shown, to_dict
from vedit.metrics.pairs import Clips, Matched
from vedit.signals import deferred
from vedit.video.sheet import SheetSampler, contact_sheet, encode_png

RESULTS = "results.json"
POINTS = 3000  # of a plotted line; longer clips are averaged
LONGEST = 640  # pixels of a preview's longer side
_SIDECAR_BYTES = 1 << 20
# All that a report has, and what file managers leave: nothing else is ever removed.
_OURS = re.compile(
    r"index\.html|results\.json|frames\.csv|media(/(source|edit-\d+)\.mp4)?|sheets(/edit-\d+\.png)?"
    r"|(.*/)?(\.DS_Store|Thumbs\.db|desktop\.ini)"
)


class Report:
    """Watches the frames pass by. Use as a context manager: without :meth:`commit` nothing is left behind."""

    def __init__(self, folder: str, clips: Clips, question: Question, *, overwrite: bool = False) -> None:
        self.folder = Path(folder)
        self._clips, self._question, self._overwrite = clips, question, overwrite
        check_folder(folder, overwrite, clips.paths)
        self._plotted = [measure for measure in question.measures if measure.plotted]
        self._end = 0.0

    def __enter__(self) -> Report:
        target = Path(os.path.realpath(self.folder))
        self._made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            for name in ("media", "sheets"):
                (self._made / name).mkdir()
            count = len(self._clips.edited)
            self._series = Series(self._made / "series.tmp", count + 1, [measure.name for measure in self._plotted])
            self._sheets = [SheetSampler() for _ in range(count)]
            info = self._clips.source
            size = preview_size(info.display_width, info.display_height, info.sar, info.orientation.transpose)
            names = ["source", *(f"edit-{number}" for number in range(1, count + 1))]
            self._previews = [Preview(self._made / "media" / f"{name}.mp4", *size) for name in names]
        except BaseException:
            shutil.rmtree(self._made, ignore_errors=True)
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for preview in self._previews:
            preview.close()
        self._series.close()
        shutil.rmtree(self._made, ignore_errors=True)

    def frame(self, matched: Matched, values: dict[int, dict[str, float]]) -> None:
        """Take the next instant."""
        pictures = [matched.source, *matched.edited]
        for preview, picture in zip(self._previews, pictures, strict=True):
            preview.add(picture.rgb8, float(matched.time), float(matched.duration))
        for sheet, picture in zip(self._sheets, matched.edited, strict=True):
            if sheet.wants(matched.index):
                sheet.add(matched.index, matched.source.rgb8, picture.rgb8)
        rows = [values.get(number, {}) for number in range(SOURCE, len(matched.edited))]
        self._series.add(float(matched.time), rows)
        self._end = float(matched.time + matched.duration)

    def commit(self, answer: Answer) -> None:
        """Write what is left and give the folder its name. Raises ``UsageError`` if the name was taken meanwhile."""
        for preview in self._previews:
            preview.finish()
        names = labels([info.path for info in (self._clips.source, *self._clips.edited)])
        for number, sheet in enumerate(self._sheets, 1):
            picture = contact_sheet(sheet.rows(), ["source", names[number]])
            (self._made / "sheets" / f"edit-{number}.png").write_bytes(encode_png(picture))
        self._series.write_csv(self._made / "frames.csv", names)
        results = json.dumps(to_dict(answer), ensure_ascii=False, indent=1) + "\n"
        # A file name that is no UTF-8 is so written with JSON's own escapes, and reads back as it was.
        (self._made / RESULTS).write_text(results, encoding="utf-8", errors="backslashreplace")
        (self._made / "index.html").write_text(self._page(answer, names), encoding="utf-8")
        self._series.close()
        (self._made / "series.tmp").unlink()
        target = Path(os.path.realpath(self.folder))
        check_folder(str(self.folder), self._overwrite, [])
        self._made.chmod(0o777 & ~_umask())
        with deferred():  # an old report goes only when the new one takes its place
            if target.exists():
                shutil.rmtree(target)
            self._made.rename(target)

    def _page(self, answer: Answer, names: list[str]) -> str:
        template = string.Template(_resource("page.html"))
        script = _resource("page.js")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        stride = max(1, math.ceil(self._series.count / POINTS))
        times, lines = self._series.thin(stride)
        data = {
            "names": ["source", *names[1:]],
            "duration": self._end,
            "frames": self._series.count,
            "stride": stride,
            "times": times,
            "plots": [
                plot for measure in self._plotted if (plot := _plot(answer.figures[0][measure.name], lines))["lines"]
            ],
        }
        return template.substitute(
            title=_escape(f"{names[0]}: {', '.join(names[1:])}"),
            style=_resource("page.css"),
            script=script,
            script_hash=f"sha256-{digest}",
            head=_head(answer),
            choices="".join(f'<option value="{n}">{_escape(name)}</option>' for n, name in enumerate(names) if n),
            videos=_videos(names),
            failures=_failures(answer),
            table=_table(answer, names[1:]),
            plots_note=_plots_note(stride),
            sheets="\n".join(
                f'<p><img src="sheets/edit-{n}.png" alt="{_escape(f"Frames of the source and of {name}")}"></p>'
                for n, name in enumerate(names)
                if n
            ),
            sidecars="\n".join(
                _sidecar(info.path, name) for info, name in zip(self._clips.edited, names[1:], strict=True)
            ),
            definitions="\n".join(
                f"<dt>{_escape(measure.name)}</dt><dd>{_escape(measure.definition)}</dd>"
                for measure in self._question.measures
            ),
            data=_for_script(data),
        )


def check_folder(folder: str, overwrite: bool, inputs: list[str]) -> None:
    """``UsageError`` unless ``folder`` is free, empty, or with ``overwrite`` a report that may be replaced."""
    path = Path(folder)
    if not folder.strip():
        raise UsageError("--report is empty; give a folder")
    if path.exists() and not path.is_dir():
        raise UsageError(f"--report {folder}: is a file; give a folder")
    parent = Path(os.path.realpath(folder)).parent
    if not parent.is_dir():
        raise UsageError(f"--report {folder}: there is no folder {parent}; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"--report {folder}: no permission to write into {parent}; choose another folder")
    if not path.exists() or not any(path.iterdir()):
        return
    if not (path / RESULTS).is_file() or not (path / "index.html").is_file():
        raise UsageError(f"--report {folder}: holds other files than a report; choose another folder")
    foreign = next((file for file in sorted(path.rglob("*")) if not _OURS.fullmatch(_inside(file, path))), None)
    if foreign is not None:
        raise UsageError(
            f"--report {folder}: holds {_inside(foreign, path)} beside a report; move it away, or choose another folder"
        )
    if not overwrite:
        raise UsageError(f"--report {folder}: holds a report already; -y replaces it")
    for name in inputs:
        if lies_in(name, folder):
            raise UsageError(f"--report {folder}: {name} lies in it and would be lost; choose another folder")


def lies_in(path: str, folder: str) -> bool:
    """Whether a file is, or would be, somewhere below ``folder``."""
    return os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


class Series:
    """Figures of every frame on disk, so that memory does not grow: a row is a time and ``groups`` × ``names``."""

    def __init__(self, path: Path, groups: int, names: list[str]) -> None:
        self.count = 0
        self._groups, self._names = groups, names
        self._width = 1 + groups * len(names)
        self._file = path.open("w+b")

    def add(self, time: float, rows: list[dict[str, float]]) -> None:
        """The next frame's; NaN stands for what is not there."""
        self._file.write(
            array("d", [time, *(row.get(name, math.nan) for row in rows for name in self._names)]).tobytes()
        )
        self.count += 1

    def _rows(self) -> Iterator[array[float]]:
        self._file.seek(0)
        for _ in range(self.count):
            row: array[float] = array("d")
            row.frombytes(self._file.read(8 * self._width))
            yield row

    def thin(self, stride: int) -> tuple[list[float], dict[tuple[int, str], list[float | None]]]:
        """Times, and by group (0: the source) and name the means over ``stride`` frames; None where there is none.

        Infinite values are left out of a mean; where there is nothing else, they are None too.
        """
        times: list[float] = []
        keys = [(group, name) for group in range(self._groups) for name in self._names]
        lines: dict[tuple[int, str], list[float | None]] = {key: [] for key in keys}
        block: list[array[float]] = []
        for index, row in enumerate(self._rows()):
            block.append(row)
            if len(block) < stride and index + 1 < self.count:
                continue
            table = np.array(block)
            times.append(float(table[0, 0]))
            for column, key in enumerate(keys, 1):
                known = table[:, column][np.isfinite(table[:, column])]
                lines[key].append(float(f"{known.mean():.6g}") if len(known) else None)
            block = []
        return times, lines

    def write_csv(self, path: Path, groups: list[str]) -> None:
        """One line for every frame and group: frame, time, clip, and a column for every measure."""
        import csv

        with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["frame", "time", "clip", *self._names])
            for index, row in enumerate(self._rows()):
                for group, name in enumerate(groups):
                    first = 1 + group * len(self._names)
                    values = row[first : first + len(self._names)]
                    writer.writerow([index, repr(row[0]), name, *("" if math.isnan(v) else repr(v) for v in values)])

    def close(self) -> None:
        """Safe to call twice."""
        self._file.close()


def preview_size(width: int, height: int, sar: Any, transposed: bool) -> tuple[int, int]:
    """Even width and height of a preview with square pixels; the longer side is :data:`LONGEST` at most."""
    shown_width, shown_height = float(width), float(height)
    if sar:
        if transposed:
            shown_height *= float(sar)
        else:
            shown_width *= float(sar)
    scale = min(1.0, LONGEST / max(shown_width, shown_height))
    return tuple(max(2, round(side * scale / 2) * 2) for side in (shown_width, shown_height))  # type: ignore[return-value]


class Preview:
    """A small H.264 file that every browser plays: 8 bit, 4:2:0, BT.709, with a key frame every half second or so so
    that stepping is quick."""

    _CLOCK = 90000

    def __init__(self, path: Path, width: int, height: int) -> None:
        import av

        self._size = (width, height)
        self._container: Any = av.open(str(path), "w", options={"movflags": "faststart"})
        options = {"crf": "20", "preset": "veryfast", "bf": "0", "g": "12", **x264.steady()}
        self._stream = self._container.add_stream("libx264", rate=30, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._base = Fraction(1, self._CLOCK)
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        context.thread_count = 1
        self._lengths: dict[int, int] = {}
        self._closed = False

    def add(self, rgb: np.ndarray, time: float, duration: float) -> None:
        """A frame (H, W, 3) uint8 of any size, shown from ``time`` for ``duration`` seconds."""
        import av

        width, height = self._size
        way = cv2.INTER_AREA if width < rgb.shape[1] else cv2.INTER_CUBIC
        small = rgb if rgb.shape[1::-1] == self._size else cv2.resize(rgb, (width, height), interpolation=way)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(small), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
        frame.pts, frame.time_base = round(time * self._CLOCK), self._base
        self._lengths[frame.pts] = max(1, round((time + duration) * self._CLOCK) - frame.pts)
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._lengths.pop(packet.pts, packet.duration)
            self._container.mux(packet)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._mux(self._stream.encode(None))
        self.close()

    def close(self) -> None:
        """Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._container.close()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _resource(name: str) -> str:
    return resources.files("vedit.metrics").joinpath("page", name).read_text(encoding="utf-8")


def _escape(text: str) -> str:
    """Anyone's text for HTML; a file name that is no UTF-8 is shown with marks in it."""
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"), quote=True)


def _for_script(value: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plot(figure: Figure, lines: dict[tuple[int, str], list[float | None]]) -> dict[str, Any]:
    measure = figure.measure
    found = [
        {"edit": group - 1, "values": values}
        for (group, name), values in lines.items()
        if name == measure.name and any(value is not None for value in values)
    ]
    return {"name": measure.name, "unit": measure.unit, "model": figure.model, "lines": found}


def _plots_note(stride: int) -> str:
    text = "Dashed: the source's own. Click a plot to go there. Infinite values are not drawn. All values: frames.csv."
    return text if stride == 1 else f"{text} Every point is the mean of {stride} frames."


def _head(answer: Answer) -> str:
    source, question = answer.clips.source, answer.question
    facts = [f"{answer.frames} frames, {source.display_width}×{source.display_height}"]
    facts += [f"prompt: {question.prompt}"] if question.prompt else []
    facts += [f"source prompt: {question.source_prompt}"] if question.source_prompt else []
    facts += [
        f"{what}: {encoder.name} ({encoder.sha256[:12]})"
        for what, encoder in (("CLIP model", question.clip), ("PickScore model", question.pickscore))
        if encoder is not None
    ]
    return "\n".join(f'<p class="note">{_escape(fact)}</p>' for fact in facts)


def _videos(names: list[str]) -> str:
    parts = []
    for number, name in enumerate(names):
        file = f"edit-{number}" if number else "source"
        kind = "" if number else ' class="source"'
        label = name if number else f"source: {name}"
        parts.append(
            f'<figure{kind}><video src="media/{file}.mp4" muted playsinline preload="auto"></video>'
            f"<figcaption>{_escape(label)}</figcaption></figure>"
        )
    return "\n".join(parts)


def _failures(answer: Answer) -> str:
    return "\n".join(
        f'<p class="bad">{_escape(f"{f.edited}: {f.gate.metric} is {shown(f.value)}, failed {f.gate.option}")}</p>'
        for f in failures_of(answer)
    )


def _table(answer: Answer, names: list[str]) -> str:
    failed = {(failure.edited, failure.gate.metric) for failure in failures_of(answer)}
    head = "".join(f"<th>{_escape(cell)}</th>" for cell in ("", *names, "source", "", "better", "model"))
    rows = []
    for measure in answer.question.measures:
        figures = [row[measure.name] for row in answer.figures]
        cells = "".join(
            f"<td{' class=failed' if (info.path, measure.name) in failed else ''}>{_escape(shown(figure.value))}</td>"
            for info, figure in zip(answer.clips.edited, figures, strict=True)
        )
        rows.append(
            f'<tr><td title="{_escape(measure.definition)}">{_escape(measure.name)}</td>{cells}{_rest(figures[0])}</tr>'
        )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _rest(figure: Figure) -> str:
    beside = shown(figure.source) if figure.measure.beside else ""
    return (
        f"<td>{_escape(beside)}</td><td class=unit>{_escape(figure.measure.unit)}</td>"
        f"<td class=unit>{_escape(figure.measure.better)}</td><td class=unit>{_escape(figure.model or '')}</td>"
    )


def _sidecar(path: str, label: str) -> str:
    """The job's sidecar, which the editing commands write beside a result."""
    name = f"{path}.vedit.json"
    title = f"<h3>{_escape(label)}</h3>"
    if not os.path.isfile(name):
        return f'{title}<p class="note">There is no sidecar {_escape(name)}.</p>'
    with open(name, encoding="utf-8", errors="replace") as file:
        text = file.read(_SIDECAR_BYTES)
    try:
        text = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        return f'{title}<p class="note">The sidecar {_escape(name)} is not JSON.</p>'
    return f"{title}<pre>{_escape(text)}</pre>"
