"""What ``drag-motion`` asks for, of its options and its clip: regions, tracks, the edited first frame, the crop."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vedit.errors import InputError, UsageError, VeditError
from vedit.render.first_frame import read_frame, resized, source_frame, source_frames

if TYPE_CHECKING:
    import numpy as np

    from vedit.engines.base import Drag
    from vedit.jobs import EditJob
    from vedit.video.clip import ClipInfo
    from vedit.video.regions import Region
    from vedit.video.timecode import TimeRange
    from vedit.video.tracks import Extent, Track

MARGIN = 1.25  # of the crop around a region, times the region's sides
GRID, MOST = 6, 10  # points a side that are followed where no track is given, and how many of them are kept

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Motion:
    """All in displayed pixels of the source. ``regions``: none where the whole picture is edited. ``grey``: (H, W)
    uint8, white where the clip is edited. ``places``:
    (F, N, 2), where the tracks are at every edited frame from ``extent.first`` on. ``frame``: (H, W, 3) uint8, the
    edited first frame. ``crop``: what the model sees; None: the whole picture. ``warnings``: what may surprise."""

    regions: tuple[Region, ...]
    tracks: tuple[Track, ...]
    extent: Extent
    grey: np.ndarray
    places: np.ndarray
    frame: np.ndarray | None = None
    crop: Box | None = None
    warnings: tuple[str, ...] = ()

    def report(self) -> dict[str, Any]:
        """What plan, result and sidecar say of it, as JSON values."""
        return {
            "regions": [region.name for region in self.regions],
            "tracks": [track.name for track in self.tracks],
            "crop": None if self.crop is None else list(self.crop),
        }

    def go_on_after(self, frame: int) -> list[str]:
        """The names of tracks that have further to go than where they are at the frame before ``frame``."""
        moves = (self.places[frame - 1 - self.extent.first :] != self.places[-1]).any((0, 2))
        return [track.name for track, goes in zip(self.tracks, moves, strict=True) if goes]

    def request(self, width: int, height: int) -> Drag:
        """What the engine is asked for, at a working size of ``width``×``height`` pixels.

        Raises ``UsageError`` for regions that cannot be seen at that size, ``InputError`` for those of a file.
        """
        import cv2
        import numpy as np
        import torch

        from vedit.engines.base import Drag
        from vedit.video.mask import BLACK

        x, y, across, down = self.crop or (0, 0, self.extent.width, self.extent.height)
        part = np.s_[y : y + down, x : x + across]

        def seen(grey: np.ndarray) -> np.ndarray:
            inside = (grey[part] > BLACK).astype(np.float32)
            return cv2.resize(inside, (width, height), interpolation=cv2.INTER_AREA) > 0.5

        for region in self.regions:
            if not seen(region.grey).any():
                raise (InputError if region.where else UsageError)(
                    f"{region.where or '--region'} {region.name}: is less than a pixel where the model sees "
                    f"{width}×{height}; make it larger, or raise --size"
                )
        mask = seen(self.grey)
        scale = np.array([width / across, height / down])
        # A pixel's place is its centre: 0 lies half a pixel inside the picture.
        places = (self.places - [x, y] + 0.5) * scale - 0.5
        frame = None
        if self.frame is not None:
            small = resized(np.ascontiguousarray(self.frame[part]), width, height)
            frame = torch.from_numpy(small).permute(2, 0, 1).float() / 127.5 - 1
        return Drag(torch.from_numpy(mask.astype(np.float32)), torch.from_numpy(places), self.extent.first, frame)


def edited_times(job: EditJob, info: ClipInfo, wanted: TimeRange) -> tuple[int, list[Fraction]]:
    """The index of the first edited frame, and when each edited frame is shown, in seconds from the first of the clip.

    A clip that does not say this beforehand is decoded for it. Raises ``UsageError`` where there is no such frame.
    """
    from vedit.render.checks import first_and_count
    from vedit.video.reader import Reader

    counted = all(point is None or point.frame is not None for point in (wanted.start, wanted.end))
    if counted and info.frames_declared and not info.variable:
        first, count = first_and_count(wanted, info)
        return first, [Fraction(index) / info.rate for index in range(first, first + count)]
    first, times = 0, []
    with Reader(job.input, info, threads=job.threads) as reader:
        for source in reader:
            if wanted.finished(source.index, source.time):
                break
            if wanted.contains(source.index, source.time):
                first = first if times else source.index
                times.append(source.time)
    if not times:
        raise UsageError(f"--start {job.start}: no frame of {job.input} lies in the range")
    return first, times


def resolve(job: EditJob, info: ClipInfo, wanted: TimeRange) -> Motion:
    """Read and check the regions, the tracks and the first frame of a job; follow the points that it says to follow.

    ``wanted``: the edited range. Raises ``UsageError`` and ``InputError``.
    """
    import numpy as np

    from vedit.video.regions import Region, owner, parse_region, region_of, union
    from vedit.video.tracks import Extent, parse_track, read_motion, sampled

    frame = None if job.first_frame is None else read_frame(job, info)
    first, times = edited_times(job, info, wanted)
    even = not info.variable or len(times) < 2
    span = None if even else (float(times[0]), float(times[-1]))
    extent = Extent(info.display_width, info.display_height, len(times), first, span)
    regions = [parse_region(text, extent) for text in job.region]
    tracks = [parse_track(text, extent) for text in job.track]
    if job.tracks is not None:
        read, more = read_motion(job.tracks, extent)
        regions += [region_of(entry, job.tracks, extent) for entry in more]
        if not read and not more:
            raise InputError(f"--tracks {job.tracks}: holds neither a track nor a region; give at least one")
    else:
        read = []
    everywhere = not regions and job.command == "first-frame-edit"
    if everywhere:
        regions = [Region("all", np.full((extent.height, extent.width), 255, np.uint8))]
    elif not regions:
        raise UsageError("--region is missing; say where the clip is edited: x,y,width,height, or a picture")
    tracks += _followed(job, info, extent)
    moved = {owner(track, regions) for track in tracks} | {owner(track, regions, InputError) for track in read}
    tracks += read
    if tracks and extent.frames < 2:
        raise UsageError(f"{tracks[0].name}: the edited range has one frame, and motion takes two; make it longer")
    left, warnings = [region for number, region in enumerate(regions) if number not in moved], ()
    if job.first_frame is not None or job.instruction is not None:
        found = _source_motion(job, info, extent, left)
        tracks += [track for some in found for track in some]
        still = [region for region, some in zip(left, found, strict=True) if not some]
        why = f"no point of it can be followed through {job.input}"
    elif not tracks:
        raise UsageError("--track is missing; say how the region moves (--track, --tracks, --follow) or give another "
                         "content with --first-frame")  # fmt: skip
    else:
        still, why = left, "it has no track"
    if extent.frames > 1:
        warnings = tuple(
            f"{why}, so the picture is asked to stand still"
            if everywhere
            else f"the region {region.name}: {why}, so it is asked to stand still"
            + ("; say how it moves with --track" if job.command == "drag-motion" else "")
            for region in still
        )
    if info.sar not in (None, 1):
        warnings += (
            f"{job.input}: its pixels are not square ({info.sar.numerator}:{info.sar.denominator}); places are counted "
            f"in the {extent.width}×{extent.height} pixels that it stores, not in those that a player shows",
        )
    of_file = {id(track) for track in read}
    warnings += tuple(
        _out_of_time(track, extent, times)
        for track in tracks
        if _ends_late(track, extent, times, InputError if id(track) in of_file else UsageError)
    )
    places = sampled(tracks, extent, lambda index: float(times[index - first]))
    named = () if everywhere else tuple(regions)
    return Motion(named, tuple(tracks), extent, union(regions), places, frame, warnings=warnings)


def _range(track: Track, extent: Extent, times: list[Fraction]) -> tuple[float, float]:
    """The edited range as the track counts it, in frames or seconds."""
    if track.frames:
        return extent.first, extent.first + extent.frames - 1
    return float(times[0]), float(times[-1])


def _ends_late(track: Track, extent: Extent, times: list[Fraction], error: type[VeditError]) -> bool:
    """Whether a track goes on after the edited range. Raises ``error`` for one that is all outside of it."""
    begin, end = _range(track, extent, times)
    # The last frame is shown on for a while.
    step = float(times[-1] - times[-2]) if not track.frames and len(times) > 1 else 1.0
    if track.knots[0] > end or track.knots[-1] <= begin:
        raise error(
            f"{_out_of_time(track, extent, times)}, so nothing would move; give times of the edited range, @48 in "
            "frames or @2s in seconds from the clip's first frame"
        )
    return bool(track.knots[-1] > end + step)


def _out_of_time(track: Track, extent: Extent, times: list[Fraction]) -> str:
    unit = "frames " if track.frames else "seconds "
    begin, end = _range(track, extent, times)
    knots = f"{unit}{track.knots[0]:g} to {track.knots[-1]:g}"
    said = f"{track.name}: is for {knots}, and the edited range is {unit}{begin:g} to {end:g}"
    if not track.frames and all(float(knot).is_integer() for knot in track.knots):
        said += ' (a frame is 10f in CSV, "10" in JSON, @10 in --track)'
    return said


def cropped(motion: Motion, info: ClipInfo, size: int, least: int | None) -> Motion:
    """The same with a crop around all regions. ``size``: what the clip's short side becomes; ``least``: pixels of the
    crop's sides at that size. None: the model sees the whole picture."""
    from vedit.video.regions import bounds

    if least is None:
        return motion
    x, y, width, height = bounds(motion.grey)
    per = min(info.display_width, info.display_height) / size  # source pixels in one of the model's
    sides = [min(whole, max(round(MARGIN * side), round(least * per)))
             for side, whole in ((width, info.display_width), (height, info.display_height))]  # fmt: skip
    corner = [min(max(0, round(start + side / 2 - around / 2)), whole - around)
              for start, side, around, whole in ((x, width, sides[0], info.display_width),
                                                 (y, height, sides[1], info.display_height))]  # fmt: skip
    return replace(motion, crop=(corner[0], corner[1], sides[0], sides[1]))


def show(job: EditJob, path: str) -> Motion:
    """Draw regions, tracks and times over the first edited frame into the PNG ``path``; returns what is drawn."""
    from vedit.render.checks import opened, spare, writable
    from vedit.render.sidecar import write_bytes
    from vedit.video.regions import draw
    from vedit.video.sheet import encode_png

    if not path.lower().endswith(".png"):
        raise UsageError(f"--show-tracks {path}: the drawing is a PNG; give a name that ends in .png")
    writable("--show-tracks", path, job)
    info, wanted = opened(job)
    spare(job.region, {"--show-tracks": path})
    motion = resolve(job, info, wanted)
    spare((region.name for region in motion.regions), {"--show-tracks": path})
    write_bytes(path, encode_png(draw(source_frame(job, info), motion.regions, motion.tracks)))
    return motion


def _followed(job: EditJob, info: ClipInfo, extent: Extent) -> list[Track]:
    """The ways of the points that ``--follow`` names, through the source. Raises ``UsageError`` where one is lost."""
    import numpy as np

    from vedit.video.tracks import parse_point

    if not job.follow:
        return []
    points = np.array([parse_point(text, extent) for text in job.follow])
    names = [f"--follow {text!r}" for text in job.follow]
    ways = _ways(job, info, points)
    for name, way in zip(names, ways.transpose(1, 0, 2), strict=True):
        lost = np.flatnonzero(np.isnan(way).any(1))
        if len(lost):
            at = extent.first + int(lost[0])
            raise UsageError(
                f"{name}: is lost at frame {at}; choose a point with more texture around it, or end before with "
                f"--end {at}"
            )
        if len(way) < 2:
            raise UsageError(f"{name}: the edited range has one frame, and motion takes two")
    return [_track_of(name, ways[:, number], extent) for number, name in enumerate(names)]


def _source_motion(job: EditJob, info: ClipInfo, extent: Extent, regions: list[Region]) -> list[list[Track]]:
    """How each region moves in the source: the longest ways of points of a grid in it that stay in sight and inside.

    For an edited first frame, in regions without tracks: they keep the motion of the source.
    """
    import numpy as np

    grids = [_grid(region) for region in regions]
    if not sum(map(len, grids)):
        return [[] for _ in regions]
    ways = _ways(job, info, np.concatenate(grids))
    found, at = [], 0
    for region, points in zip(regions, grids, strict=True):
        own, at = ways[:, at : at + len(points)], at + len(points)
        whole = [
            number
            for number in np.flatnonzero(~np.isnan(own).any((0, 2)))
            if len(own) > 1 and all(region.holds(place) for place in _inside(own[:, number], extent))
        ]
        lengths = np.linalg.norm(np.diff(own[:, whole], axis=0), axis=-1).sum(0)
        longest = [whole[number] for number in np.argsort(-lengths, kind="stable")[: max(1, MOST // len(regions))]]
        names = {number: f"the way of {points[number, 0]:.0f},{points[number, 1]:.0f}" for number in longest}
        found.append([_track_of(name, own[:, number], extent) for number, name in names.items()])
    return found


def _grid(region: Region) -> np.ndarray:
    """(N, 2): points all over a region; its middle where it is too thin for any of them."""
    import numpy as np

    from vedit.video.mask import BLACK
    from vedit.video.regions import bounds

    x, y, width, height = bounds(region.grey)
    across, down = (np.linspace(start, start + side - 1, GRID + 2)[1:-1] for start, side in ((x, width), (y, height)))
    points = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
    points = points[[region.holds(point) for point in points]]
    if len(points):
        return points
    rows, columns = np.nonzero(region.grey > BLACK)
    middle = len(rows) // 2
    return np.array([[columns[middle], rows[middle]]], np.float64)


def _ways(job: EditJob, info: ClipInfo, points: np.ndarray) -> np.ndarray:
    """(T, N, 2): where points of the first edited frame go in the source, up to a cut, where the edit ends; NaN where
    they are lost."""
    import cv2

    from vedit.video.follow import follow_through
    from vedit.video.shots import HEIGHT, WIDTH, ShotDetector
    from vedit.video.timecode import parse_range

    detector = ShotDetector()
    frames = itertools.takewhile(
        lambda rgb: not detector.push(resized(rgb, 2 * WIDTH, 2 * HEIGHT)),
        source_frames(job, info, parse_range(job.start, job.end)),
    )
    return follow_through((cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in frames), points)


def _track_of(name: str, way: np.ndarray, extent: Extent) -> Track:
    import numpy as np

    from vedit.video.tracks import Track

    knots = np.arange(extent.first, extent.first + len(way), dtype=np.float64)
    return Track(name, knots, _inside(way, extent), True)


def _inside(places: np.ndarray, extent: Extent) -> np.ndarray:
    return places.clip(0, [extent.width - 1, extent.height - 1])
