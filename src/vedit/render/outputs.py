"""The files of a job: result, sidecar and, if asked for, a comparison and a contact sheet. All of them or none."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.render import sidecar
from vedit.render.plan import STDOUT, Plan
from vedit.signals import deferred

if TYPE_CHECKING:
    import numpy as np

    from vedit.video.clip import ClipInfo
    from vedit.video.outfile import OutFile
    from vedit.video.reader import SourceFrame
    from vedit.video.sheet import SheetSampler
    from vedit.video.writer import Writer


class Outputs:
    """Takes frames in order. Use as a context manager: without :meth:`commit` nothing is left behind."""

    def __init__(self, plan: Plan) -> None:
        self.frames = 0
        self.last_time = 0.0
        self.duration = Fraction(0)
        self.warnings: list[str] = []
        self.said = plan.warnings  # all that was warned of by the time of the commit, for the sidecar
        self._plan = plan
        self._stack = contextlib.ExitStack()
        self._edited = 0
        self._mask_sha256: str | None = None
        self.vae_dtype = plan.vae_dtype  # what the autoencoder came to compute in

    def __enter__(self) -> Outputs:
        from vedit.video.compare import compare_info
        from vedit.video.sheet import SheetSampler

        job, info = self._plan.job, self._plan.info
        with deferred(), contextlib.ExitStack() as stack:
            self._result = self._open(stack, self._writer(job.output, info))
            self._comparison = None
            if job.compare is not None:
                self._comparison = self._open(stack, self._writer(job.compare, compare_info(info)))
            self._sheet = SheetSampler() if job.sheet is not None else None
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        with deferred():
            self._stack.close()

    def _writer(self, path: str, info: ClipInfo) -> Writer:
        from vedit.video.writer import Writer

        job = self._plan.job
        return Writer(path, info, self._plan.encoder, audio=job.audio, overwrite=job.overwrite)

    def _open(self, stack: contextlib.ExitStack, writer: Writer) -> Writer:
        return stack.enter_context(writer)

    def write(self, source: SourceFrame, edited: np.ndarray | None, weights: np.ndarray | None = None) -> None:
        """The next frame: ``edited`` (H, W, 3) in displayed orientation, or None where the source passes through;
        ``weights`` (H, W) uint8 of a mask, if there is one."""
        if edited is None:
            self._result.write_source(source)
        else:
            self._result.write(edited, source, weights)
        if edited is not None and weights is not None and (self._comparison is not None or self._sheet is not None):
            edited = self._masked(source, edited, weights)
        if self._comparison is not None:
            self._comparison.write(self._pair(source, edited), source)
        if self._sheet is not None and edited is not None and self._sheet.wants(self._edited):
            self._sheet.add(self._edited, source.rgb(), _bits8(edited))
        self._edited += edited is not None
        self.frames += 1
        self.last_time = float(source.time)
        self.duration = source.time + source.duration * source.info.time_base

    def _masked(self, source: SourceFrame, edited: np.ndarray, weights: np.ndarray) -> np.ndarray:
        from vedit.video.mask import mix

        return mix(source.rgb(16 if edited.dtype == "uint16" else 8), edited, weights)

    def _pair(self, source: SourceFrame, edited: np.ndarray | None) -> np.ndarray:
        from vedit.video.compare import side_by_side

        if edited is None:
            return side_by_side(source.rgb(), source.rgb())
        return side_by_side(source.rgb(16 if edited.dtype == "uint16" else 8), edited)

    def commit(self) -> None:
        """Finish all files and give them their names; if one fails, or a signal comes, the others go too."""
        from vedit.video.source import find

        source_sha256 = sidecar.sha256_of(*find(self._plan.job.input).files)
        self._mask_sha256 = None if self._plan.mask is None else sidecar.sha256_of(self._plan.mask.path)
        with deferred():
            complete = self._complete(source_sha256)
        # A signal that came meanwhile was raised there, where nothing has its name yet.
        published: list[Writer | OutFile] = []
        try:
            with deferred():
                for one in complete:  # the result comes last, so that where it is, all is
                    one.publish()
                    published.append(one)
        except BaseException:
            with deferred():
                for one in reversed(published):
                    one.withdraw()
            raise
        with deferred():
            for one in published:
                one.settle()

    def _complete(self, source_sha256: str) -> list[Writer | OutFile]:
        """All files whole and on the disk, without their names."""
        job, complete = self._plan.job, []
        if self._comparison is not None:
            self._comparison.complete()
            complete.append(self._comparison)
            self._tell(self._comparison)
        if self._sheet is not None and job.sheet is not None:
            complete.append(self._small(job.sheet, self._picture(self._sheet)))
        self._result.complete()
        self._tell(self._result)
        if job.output != STDOUT:  # else there is nothing to lay a sidecar beside
            record = sidecar.as_json(self._record(source_sha256))
            complete.append(self._small(sidecar.sidecar_path(job.output), record))
        return [*complete, self._result]

    def _small(self, path: str, data: bytes) -> OutFile:
        """A file that is written at once."""
        from vedit.video.outfile import written

        file = written(path, data)
        self._stack.callback(file.discard)
        return file

    def _picture(self, sheet: SheetSampler) -> bytes:
        from vedit.video.sheet import contact_sheet, encode_png

        return encode_png(contact_sheet(sheet.rows(), ["source", self._said()]))

    def _said(self) -> str:
        job = self._plan.job
        return job.prompt or job.instruction or job.command

    def _tell(self, writer: Any) -> None:
        self.warnings += [text for text in writer.warnings if text not in self.warnings]

    def _record(self, source_sha256: str) -> dict[str, Any]:
        """The sidecar: all that a result depends on, nothing that varies between two runs of the same job."""
        plan = self._plan
        return {
            "schema": sidecar.SCHEMA,
            # Without --size each model works at its own, which another size said here would take from them.
            "job": plan.job.model_dump(mode="json") | {"size": plan.asked_size},
            "versions": sidecar.versions(),
            "settings": plan.settings.model_dump(mode="json"),
            "model": {"name": plan.bundle.name, "sha256": plan.bundle.sha256},
            "input": {"sha256": source_sha256, "frames": self.frames},
            "adapter": None if self._adapter is None else {"sha256": sidecar.sha256_of(self._adapter)},
            "mask": self._mask_sha256 and {"sha256": self._mask_sha256, **(plan.decided()["mask"] or {})},
            "output": {"sha256": self._output_sha256(), "frames": self.frames},
            "working_size": [plan.working_width, plan.working_height],
            "window": plan.window,
            "overlap": plan.overlap,
            "device": plan.device,
            "dtype": plan.dtype,
            "vae_dtype": self.vae_dtype,
            "execution": plan.decided()["execution"],
            "memory_plan": plan.decided()["memory_plan"],
            "threads": plan.threads,
            "hwaccel": plan.hwaccel,
            "encoder": self._encoder(),
            "warnings": [text for text in dict.fromkeys([*self.said, *self.warnings]) if text not in plan.passing],
        } | self._read()

    def _output_sha256(self) -> str:
        assert self._result.temporary is not None
        return sidecar.sha256_of(self._result.temporary)

    def _read(self) -> dict[str, Any]:
        """What else went into the result: the files that say where and how the clip moves."""
        job, motion = self._plan.job, self._plan.motion
        if motion is None and self._plan.first_frame is None:
            return {}
        names = [*job.region, *(name for name in (job.tracks, job.first_frame) if name is not None)]
        names += [] if motion is None else [region.name for region in motion.regions]  # some are named in the tracks
        files = {name: sidecar.sha256_of(name) for name in names if os.path.isfile(name)}
        read: dict[str, Any] = {} if motion is None else {"motion": motion.report() | {"files": files}}
        first_frame = self._plan.decided().get("first_frame")
        if first_frame is not None:
            read["first_frame"] = first_frame | ({} if read else {"files": files})
        return read

    @property
    def _adapter(self) -> Path | None:
        from vedit.weights import adapter as adapters

        named = self._plan.job.adapter or self._plan.adapter
        return None if named is None else adapters.find(named)

    def _encoder(self) -> dict[str, Any]:
        chosen = self._result.plan
        return {name: getattr(chosen, name) for name in ("format", "codec", "pix_fmt", "options", "threads")}


def _bits8(rgb: np.ndarray) -> np.ndarray:
    return (rgb >> 8).astype("uint8") if rgb.dtype == "uint16" else rgb
