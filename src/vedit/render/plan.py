"""What was decided for a job: all that a run needs, and what is told of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from vedit.engines.base import Execution
from vedit.jobs import EditJob

if TYPE_CHECKING:
    import numpy as np

    from vedit.render.first_frame import Drawing, FirstFrame
    from vedit.render.memory import MemoryPlan
    from vedit.render.motion import Motion
    from vedit.video.clip import ClipInfo
    from vedit.video.encoding import EncoderOptions
    from vedit.video.hwaccel import Accelerator
    from vedit.video.mask import MaskInfo
    from vedit.video.timecode import TimeRange
    from vedit.weights import Bundle

DEFAULT_SIZE = 256  # of a model that does not say its own
DEFAULT_WINDOW = 16
DEFAULT_OVERLAP = 4
DEFAULT_MULTIPLE = 8
SCHEMA = 1
STDOUT = "-"


@dataclass(frozen=True)
class Plan:
    """A checked job and what was decided for it: all that :func:`vedit.render.run` needs."""

    job: EditJob
    info: ClipInfo
    range: TimeRange
    bundle: Bundle
    settings: BaseModel  # the engine's Settings: the model's defaults with the job's on top
    working_width: int  # pixels, displayed orientation
    working_height: int
    window: int  # frames
    overlap: int
    device: str
    dtype: str  # fp32, fp16 or bf16
    threads: int
    encoder: EncoderOptions
    edited_frames: int  # expected
    windows: int  # expected, cuts not counted
    evaluations: int  # of the network, expected
    estimated_memory_mb: int
    estimated_seconds: int
    warnings: list[str] = field(default_factory=list)
    passing: tuple[str, ...] = ()  # those of the warnings that are of this moment, and of no result
    mask: MaskInfo | None = None
    adapter: str | None = None  # one that was trained for this run, or that the model carries; the job's own goes first
    accelerator: Accelerator | None = None  # what decodes; None: the CPU
    notes: list[str] = field(default_factory=list)  # what was decided and may surprise; for -v
    motion: Motion | None = None
    first_frame: FirstFrame | None = None
    drawing: Drawing | None = None  # how an instruction makes the first frame
    memory: MemoryPlan | None = None  # with --vram alone
    execution: Execution = field(default_factory=Execution)
    vae_dtype: str = ""  # of the autoencoder, which may need more than the networks
    asked_size: int | None = None  # what --size said, where it did

    @property
    def hwaccel(self) -> str:
        """What decodes: ``none`` is the CPU."""
        return "none" if self.accelerator is None else self.accelerator.kind

    @property
    def request(self) -> Any:
        """What the engine is asked for."""
        if self.motion is not None:
            return self.motion.request(self.working_width, self.working_height)
        if self.first_frame is not None:
            return self.first_frame.request(self.working_width, self.working_height)
        return self.job.request

    @property
    def grey(self) -> np.ndarray | None:
        """(H, W) uint8 in displayed orientation, white where regions say that the clip is edited; None: no regions."""
        if self.motion is not None:
            return self.motion.grey if self.motion.regions else None
        return None if self.first_frame is None else self.first_frame.grey

    def decided(self) -> dict[str, Any]:
        """What a plan and its result have in common, as JSON values."""
        return (
            {
                "width": self.info.display_width,
                "height": self.info.display_height,
                "fps": float(self.info.rate),
                "seed": self.job.seed,
                "model": self.bundle.name,
                "model_sha256": self.bundle.sha256,
                "method": self.job.method,
                "settings": self.settings.model_dump(mode="json"),
                "window": self.window,
                "overlap": self.overlap,
                "working_width": self.working_width,
                "working_height": self.working_height,
                "device": self.device,
                "dtype": self.dtype,
                "vae_dtype": self.vae_dtype,
                "execution": asdict(self.execution),
                "memory_plan": None if self.memory is None else self.memory.report(),
                "threads": self.threads,
                "hwaccel": self.hwaccel,
                "detail": self.job.detail,
                "mask": None if self.mask is None else {"path": self.mask.path, "feather": self.mask.feather},
            }
            | ({} if self.motion is None else {"motion": self.motion.report()})
            | self._shown()
        )

    def _shown(self) -> dict[str, Any]:
        """Where the first frame comes from, for the command that spreads it."""
        if self.job.command != "first-frame-edit":
            return {}
        told: dict[str, Any] = {"path": self.job.first_frame, "fit": self.job.fit, "instruction": self.job.instruction}
        drawing = self.drawing
        told["instruct_model"] = None if drawing is None else self.job.instruct_model
        if drawing is not None:
            told["working_size"] = [drawing.width, drawing.height]
        told["instruct_model_sha256"] = None if drawing is None else drawing.bundle.sha256
        if drawing is not None and drawing.memory is not None:
            told["memory_plan"] = drawing.memory.report()
        return {"first_frame": told, "regions": list(self.job.region)}

    def report(self) -> dict[str, Any]:
        """The plan as JSON values; the keys that a result has too mean the same there, as far as one can know."""
        duration = self.info.duration if self.info.duration is not None else self.info.frames / self.info.rate
        return {
            "schema": SCHEMA,
            "dry_run": True,
            "output": self.job.output,
            "frames": self.info.frames,
            "duration": float(duration),
            **self.decided(),
            "edited_frames": self.edited_frames,
            "windows": self.windows,
            "evaluations": self.evaluations,
            "encoder": {name: getattr(self.job, name) for name in ("codec", "crf", "preset", "pix_fmt")},
            "estimated_memory_mb": self.estimated_memory_mb,
            "estimated_seconds": self.estimated_seconds,
            "warnings": [*self.warnings, *self._unknown()],
        }

    def _unknown(self) -> list[str]:
        """What a plan cannot tell."""
        if self.info.frames_declared or self.info.duration is not None:
            return []
        return [f"{self.job.input} does not say how long it is: the plan is that of its first window"]
