"""ReVideo's training: which tracks a sample has, what each stage sees, and the three stages on a tiny model."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from vedit import engines, weights
from vedit.cli.app import app
from vedit.engines.base import Drag, Window
from vedit.engines.image2video import Image2Video
from vedit.errors import InputError, UsageError, VeditError
from vedit.nets.revideo import ReVideoConfig
from vedit.training import revideo as loop
from vedit.training.moving import Moving, read_clips
from vedit.training.moving_clips import MovingClips, View, WorldClips, in_sight
from vedit.training.recipes import nano_revideo, revideo
from vedit.training.revideo import Settings, draw_batch
from vedit.training.trajectories import box_around, choose, lengths, random_box
from vedit.weights import adapter
from vedit.weights.bundle import sha256
from vedit.world.clipfile import write_clip

_SPEC = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "engines" / "tiny.py")
assert _SPEC is not None and _SPEC.loader is not None
tiny = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tiny)

torch.set_num_threads(1)
CONFIG = ReVideoConfig((16, 16, 16, 16), 11, 2.0)


# -- trajectories ------------------------------------------------------------------------------------------------


def fan(speeds) -> np.ndarray:
    """(5, N, 2): points that move to the right, each at its own speed."""
    steps = np.arange(5)[:, None, None] * np.array(speeds, float)[None, :, None] * [1.0, 0.0]
    return steps + np.array([[10.0, 10.0 + 4 * n] for n in range(len(speeds))])


def test_tracks_longer_than_the_mean_are_chosen_more_often_the_longer_they_are():
    tracks = fan([0, 1, 1, 6, 12])
    assert lengths(tracks).tolist() == [0, 4, 4, 24, 48]  # the mean is 16
    rng = np.random.default_rng(0)
    counts = np.zeros(5)
    for _ in range(600):
        chosen = choose(tracks, rng, most=1)
        assert len(chosen) == 1
        counts[chosen] += 1
    assert counts[:3].tolist() == [0, 0, 0]
    assert counts[4] / counts[3] == pytest.approx(2, rel=0.25)


def test_there_are_one_to_ten_of_them():
    tracks = fan(np.linspace(1, 30, 60))
    rng = np.random.default_rng(1)
    counts = {len(choose(tracks, rng)) for _ in range(300)}
    assert counts == set(range(1, 11))
    chosen = choose(tracks, rng)
    assert len(np.unique(chosen)) == len(chosen)


def test_only_tracks_inside_of_the_box_and_none_where_nothing_moves():
    tracks = fan([1, 5, 6, 30])
    rng = np.random.default_rng(2)
    inside = {int(i) for _ in range(50) for i in choose(tracks, rng, (0, 0, 40, 40))}
    assert inside == {1, 2}  # the last one leaves the box
    assert len(choose(tracks, rng, (100, 100, 10, 10))) == 0
    assert len(choose(fan([0, 0]), rng)) == 0
    assert len(choose(fan([3, 3]), rng, most=1)) == 1  # all alike: none is above the mean


def test_boxes_are_no_smaller_than_a_fifth_and_fall_on_the_grid():
    rng = np.random.default_rng(3)
    boxes = np.array([random_box(rng, 160, 128, step=8) for _ in range(300)])
    assert (boxes % 8 == 0).all()
    assert boxes[:, 2:].min() == 24 and boxes[:, 2].max() == 120 and boxes[:, 3].max() == 96
    assert (boxes[:, 0] + boxes[:, 2]).max() == 160 and boxes[:, 0].min() == 0


def test_a_box_around_holds_what_is_covered_on_the_grid():
    rng = np.random.default_rng(0)
    covered = np.zeros((64, 96), bool)
    covered[20:31, 50:62] = True
    boxes = [box_around(covered, rng, step=4) for _ in range(100)]
    for x, y, width, height in boxes:
        assert x % 4 == y % 4 == width % 4 == height % 4 == 0
        assert covered[y : y + height, x : x + width].sum() == covered.sum()
    assert len(set(boxes)) > 10 and max(width for _, _, width, _ in boxes) <= 12 + 2 * 64 / 6 + 8
    x, y, width, height = box_around(np.ones((64, 96), bool), rng, step=4)
    assert (x, y, width, height) == (0, 0, 96, 64)
    assert box_around(np.zeros((64, 96), bool), rng)[2] <= 72  # anywhere, like another


def test_points_that_leave_or_are_covered_are_not_in_sight():
    layers = np.zeros((3, 16, 16), np.uint8)
    layers[2, :, 10:] = 1
    tracks = np.array([[[4.0, 4.0], [25.0, 5.0], [4.0, 9.0]], [[8.0, 4.0], [25.0, 5.0], [-2.0, 9.0]],
                       [[12.0, 4.0], [25.0, 5.0], [0.0, 9.0]]])  # fmt: skip
    assert in_sight(tracks, layers, np.zeros(3, np.uint8), (32, 32)).tolist() == [True, False, False]


# -- what a stage sees -------------------------------------------------------------------------------------------


class Two:
    """Alternately a white clip whose points move to the right and a black one whose points move down."""

    identity = "two"

    def __init__(self) -> None:
        self.number = 0

    def draw(self, rng) -> Moving:
        self.number += 1
        white = self.number % 2 == 1
        pixels = np.full((4, 64, 64, 3), 255 if white else 0, np.uint8)
        start = np.stack(np.meshgrid(np.arange(4.0, 64, 4), np.arange(4.0, 64, 4)), -1).reshape(-1, 2)
        step = np.array([1.0, 0.0]) if white else np.array([0.0, 1.0])
        tracks = start + np.arange(4)[:, None, None] * step * (1 + start[None, :, :1] / 64)
        return Moving(pixels, tracks[:, (tracks < 63).all((0, 2))], (12.0, 80.0) if white else None)


def seen(stage, **more):
    return draw_batch(Two(), Settings(stage=stage, batch=2, **more), CONFIG, 3, 8)


def test_the_first_stage_sees_whole_clips_without_content():
    batch = seen(1)
    assert batch.given.content is None
    assert bool((batch.given.mask == 1).all())
    assert bool((batch.pixels[0] == 1).all()) and bool((batch.pixels[1] == -1).all())
    assert batch.numbers == [(12.0, 80.0), None]
    moved = batch.given.motion
    assert not moved[:, 0].any()
    assert bool((moved[0, :, 0] == 0).all()) and float(moved[0, 1:, 1].max()) > 0.9  # to the right alone
    assert bool((moved[1, :, 1] == 0).all()) and float(moved[1, 1:, 0].max()) > 0.9  # down alone


def test_the_second_stage_shows_one_clip_in_the_region_and_another_around_it():
    batch = seen(2)
    for k in range(2):
        inside = batch.given.mask[k, 0, 0].bool()
        assert 0 < int(inside.sum()) < 64 * 64
        assert bool((batch.pixels[k][:, :, inside] == 1).all())
        assert bool((batch.pixels[k][:, :, ~inside] == -1).all())
        assert batch.given.content is not None
        content = batch.given.content[k]
        assert bool((content == -1).all())  # black inside, and the other clip is black
        assert bool((batch.given.motion[k, :, 0] == 0).all())  # only the inner clip's tracks


def test_the_third_stage_and_the_ablation_see_ordinary_clips():
    for batch in (seen(3), seen(2, scenes="ordinary")):
        assert float(batch.pixels[0].std()) == float(batch.pixels[1].std()) == 0
        assert 0 < float(batch.given.mask.mean()) < 1


def test_a_step_is_keyed_by_its_number():
    first, again, other = (draw_batch(Two(), Settings(stage=2, batch=2), CONFIG, n, 8) for n in (5, 5, 6))
    assert torch.equal(first.given.mask, again.given.mask) and torch.equal(first.given.motion, again.given.motion)
    assert not torch.equal(first.given.mask, other.given.mask)


# -- training ----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _whole_precision(monkeypatch):
    """At a single latent a side, the group norms of a random network overflow in half precision."""
    monkeypatch.setattr(loop, "autocast", lambda device: torch.autocast(device, enabled=False))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.write_bundle(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = tiny.clip_frames(7, 48, 64).permute(0, 2, 3, 1).numpy() * 0.5 + 0.5
    write_clip(path, frames.astype(np.float32), 12)
    return path


def read_frames(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def trained(model, clip, output, stage, before=None, **options):
    options = {"steps": 3, "rate": 1e-2, "batch": 1, "frames": 4, "size": 32, "save_every": 2, "log_every": 1} | options
    options |= {"log": lambda _: None, "before": None if before is None else str(before)}
    clips = [str(clip)]
    if stage == 2:
        other = clip.with_name("other.mp4")
        if not other.exists():
            write_clip(other, np.flip(np.stack(read_frames(clip)), 2).astype(np.float32) / 255, 12)
        clips.append(str(other))
    return revideo.train(clips=clips, model=str(model), output=str(output), stage=stage, **options)


def test_the_three_stages_leave_an_adapter_that_edits(model, clip, tmp_path):
    bundle = weights.open_bundle(model, "image2video")
    before, tensors = None, {}
    for stage in (1, 2, 3):
        before = trained(model, clip, tmp_path / str(stage), stage, before)
        about, found = adapter.load(before, "revideo", bundle)
        assert (about.network["stage"], about.training["steps"]) == (stage, 3)
        assert f"stage {stage}" in about.card and (tmp_path / str(stage) / "loss.png").is_file()
        if tensors:
            changed = {name for name, tensor in found.items() if not torch.equal(tensor, tensors[name])}
            if stage == 2:
                assert any(".content." in name for name in changed)
                assert not any(".gate." in name or name.startswith("base.") for name in changed)
            else:
                parts = (".gate.", ".fused.", "temporal_transformer_blocks")
                kept = {n for n in changed if not any(part in n for part in parts)}
                assert changed and not kept
                assert any(".gate." in n for n in changed) and any(n.startswith("base.") for n in changed)
        tensors = found
    engine = engines.load("revideo", bundle, {"steps": 2}, dtype="fp32", adapter=str(before))
    frames = tiny.clip_frames(4, 32, 32)
    mask = torch.zeros(32, 32)
    mask[8:24, 8:24] = 1
    with torch.inference_mode():
        edited = engine.edit(Window(frames, 0), Drag(mask, torch.full((4, 1, 2), 12.0).double()))
    assert bool(edited.frames.isfinite().all())


def test_a_training_that_is_cut_off_resumes_to_the_same_adapter(model, clip, tmp_path, monkeypatch):
    trained(model, clip, tmp_path / "whole", 1)
    real = revideo.Trainer.loss

    def stops(self: Any, step: int, batch: Any):
        if step == 2:
            raise KeyboardInterrupt
        return real(self, step, batch)

    monkeypatch.setattr(revideo.Trainer, "loss", stops)
    with pytest.raises(KeyboardInterrupt):
        trained(model, clip, tmp_path / "cut", 1)
    monkeypatch.setattr(revideo.Trainer, "loss", real)
    trained(model, clip, tmp_path / "cut", 1, resume=True)
    bundle = weights.open_bundle(model, "image2video")
    found = [adapter.load(tmp_path / name, "revideo", bundle)[1] for name in ("whole", "cut")]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_step_without_a_finite_gradient_is_left_out(model, clip, tmp_path, monkeypatch):
    real = revideo.Trainer.loss

    def overflows(self: Any, step: int, batch: Any):
        loss = real(self, step, batch)
        if step == 1:
            loss.register_hook(lambda grad: grad * float("inf"))
        return loss

    monkeypatch.setattr(revideo.Trainer, "loss", overflows)
    done = trained(model, clip, tmp_path / "out", 1)
    _, tensors = adapter.load(done, "revideo", weights.open_bundle(model, "image2video"))
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    log = [json.loads(line) for line in (done / "training" / "log.jsonl").read_text().splitlines()]
    assert [row["left_out"] for row in log] == [0, 1, 0]
    monkeypatch.setattr(loop, "MOST_LOST", 0)
    with pytest.raises(VeditError, match="no finite gradient"):
        trained(model, clip, tmp_path / "other", 1)


def test_a_stage_with_another_fusion_shares_all_but_safm(model, clip, tmp_path):
    first = trained(model, clip, tmp_path / "2", 1)
    about, tensors = adapter.load(first, "revideo", weights.open_bundle(model, "image2video"))
    adapter.save(tmp_path / "2", replace(about, network=about.network | {"stage": 2}), tensors)
    done = trained(model, clip, tmp_path / "3", 3, tmp_path / "2", choices={"fusion": "sum"})
    about, found = adapter.load(done, "revideo", weights.open_bundle(model, "image2video"))
    assert about.network["fusion"] == "sum" and not any(".gate." in name for name in found)
    same = "control.motion.layers.conv_in.weight"
    assert torch.equal(found[same], tensors[same])
    with pytest.raises(UsageError, match="fusion=no-time"):
        trained(model, clip, tmp_path / "4", 3, done, choices={"fusion": "no-time"})


def test_what_cannot_be_trained(model, clip, tmp_path):
    for given, error, said in (
        ({"stage": 2}, UsageError, "--from"),
        ({"stage": 1, "choices": {"speed": 1}}, UsageError, "no such setting; there is fusion"),
        ({"stage": 1, "choices": {"fusion": "mean"}}, UsageError, "none of safm"),
        ({"stage": 1, "frames": 9}, InputError, "has 7 frames"),
        ({"stage": 1, "size": 4}, UsageError, "--size 4: the model works on multiples of 8"),
        ({"stage": 1, "choices": {"tuned": "everything"}}, UsageError, "is for --stage 3"),
        ({"stage": 3, "choices": {"scenes": "ordinary"}}, UsageError, "is for --stage 2"),
        ({"stage": 1, "frames": 4, "stride": 3}, InputError, "lower --frames or --stride"),
    ):
        with pytest.raises(error, match=said):
            trained(model, clip, tmp_path / "no", **given)


def test_the_stages_keep_their_order(model, clip, tmp_path):
    first = trained(model, clip, tmp_path / "1", 1)
    with pytest.raises(UsageError, match="ended with stage 1"):
        trained(model, clip, tmp_path / "3", 3, first)
    second = trained(model, clip, tmp_path / "2", 2, first)
    with pytest.raises(UsageError, match="ended with stage 2"):
        trained(model, clip, tmp_path / "1 again", 1, second)
    for clips in ([str(clip)], [str(clip), f"{clip.parent}/./{clip.name}"]):  # the same one twice says nothing
        with pytest.raises(UsageError, match="at least two clips"):
            revideo.train(clips=clips, model=str(model), output=str(tmp_path / "one"), stage=2, before=str(first))


def test_own_clips_are_followed_through_every_frame(clip, monkeypatch):
    import vedit.video.follow

    seen, real = [], vedit.video.follow.tracks_of
    monkeypatch.setattr(vedit.video.follow, "tracks_of", lambda grey, grid: seen.append(len(grey)) or real(grey, grid))
    source = read_clips([str(clip)], 3, 32, 2, 8, None, None)
    drawn = source.draw(np.random.default_rng(0))
    assert drawn.pixels.shape == (3, 32, 32, 3) and seen == [5]  # three frames, two apart
    assert drawn.tracks.shape[0] == 3 and drawn.tracks.shape[2] == 2


def test_own_clips_are_seen_at_the_scale_of_the_model(clip):
    """The clip is 64 pixels wide and 48 high: squares of 32 of it, and of it at half the size."""
    parts = read_clips([str(clip)], 3, 32, 1, 8, None, None, 48)
    whole = read_clips([str(clip)], 3, 24, 1, 8, None, None)
    assert parts.draw(np.random.default_rng(0)).pixels.shape == (3, 32, 32, 3)
    assert parts._clips[0].shape[1:3] == (48, 64) and whole._clips[0].shape[1:3] == (24, 32)


def test_the_command(model, clip, tmp_path):
    from typer.testing import CliRunner

    given = ["train-adapter", "revideo", str(clip), "--stage", "1", "-o", str(tmp_path / "out"), "-m", str(model)]
    given += ["--steps", "1", "--batch", "1", "--frames", "3", "--size", "32", "--threads", "1", "--device", "cpu"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert adapter.read_about(tmp_path / "out").network["stage"] == 1


def test_parts_of_clips_keep_their_tracks():
    """Every pixel says where it is in the whole clip; a track that is kept stays on its pixel."""
    frames = np.zeros((1, 4, 24, 32, 3), np.uint8)
    frames[..., 0], frames[..., 1] = np.arange(32), np.arange(24)[:, None]
    points = np.array([[3, 4], [16, 12], [30, 20], [10, 21]], float)
    tracks = np.repeat(points[None], 4, 0)[None]
    tracks[0, :, 1, 0] += np.arange(4)  # one moves, over pixels that do not
    parts = {"frames": frames, "tracks": tracks, "owners": np.zeros((1, 4), int)}
    parts |= {"layers": np.zeros((1, 4, 24, 32), int), "numbers": np.array([[12, 80, 0, 0]], np.float32)}
    source, kept = WorldClips(MovingClips(parts), "test"), set()
    part = source.at(View(16, 16, 16))
    assert part.identity == "test:16:16:16" and source.at(View(8, 99, 99)).identity == "test:8:24:24"
    for seed in range(30):
        drawn = part.draw(np.random.default_rng(seed))
        assert drawn.pixels.shape == (4, 16, 16, 3)
        kept.add(drawn.tracks.shape[1])
        for track in np.rint(drawn.tracks).astype(int).transpose(1, 0, 2):
            seen = [tuple(drawn.pixels[t, y, x, :2]) for t, (x, y) in enumerate(track)]
            still = seen[0] == seen[-1] and seen[0] in {(3, 4), (30, 20), (10, 21)}
            assert still or sorted(seen) == [(16, 12), (17, 12), (18, 12), (19, 12)]
    assert min(kept) < max(kept)  # some points lie outside of some parts


# -- nano's recipe -----------------------------------------------------------------------------------------------


def test_nano_shares_the_first_stages_between_variants(model, tmp_path):
    from vedit.world.moving import clips

    drawn = list(clips(1, 0, 64, 4, 2))
    parts = {name: np.stack([getattr(one, name) for one in drawn]) for name in ("frames", "layers", "tracks", "owners")}
    parts |= {"numbers": np.array([[12, 80, 0, 0]] * 2, np.float32)}
    source = WorldClips(MovingClips(parts), "test")
    one = source.draw(np.random.default_rng(0))
    assert one.numbers == (12.0, 80.0) and one.tracks.shape[0] == 4
    bundle = weights.open_bundle(model, "image2video")
    more = {"share": 1e-4, "batch": 1, "log_every": 1}
    made = {name: nano_revideo.train(name, source, bundle, tmp_path, **more) for name in ("two-stages", "no-safm")}
    assert made["two-stages"] == tmp_path / "shared" / "2" and made["no-safm"] == tmp_path / "no-safm" / "3"
    began = (tmp_path / "shared" / "1" / "adapter.safetensors").stat().st_mtime_ns
    with pytest.raises(VeditError, match="trained with another seed"):
        nano_revideo.train("two-stages", source, bundle, tmp_path, seed=5, **more)
    alone = nano_revideo.train("one-stage", source, bundle, tmp_path, **more)
    about = adapter.read_about(alone)
    assert about.training["scenes"] == "ordinary" and about.network["stage"] == 2 and about.training["before"] is None
    joint = adapter.read_about(nano_revideo.train("no-decoupling", source, bundle, tmp_path, **more)).training
    first = tmp_path / "shared" / "1" / "adapter.safetensors"
    assert joint["scenes"] == "ordinary"
    assert joint["before"] == sha256(first)
    assert first.stat().st_mtime_ns == began


def test_a_control_goes_into_a_bundle(model, tmp_path):
    bundle = Path(shutil.copytree(model, tmp_path / "own"))
    opened = weights.open_bundle(bundle, "image2video")
    base = Image2Video.from_bundle(opened, device="cpu", dtype=torch.float32)
    network = revideo.begin(base, opened, None, "safm", 0)
    about = adapter.About("revideo", opened.name, opened.parts_sha256, asdict(network.control.config))
    adapter.save(tmp_path / "control", about, network.added())
    nano_revideo.install(tmp_path / "control", bundle)
    again = weights.open_bundle(bundle, "image2video", verify=True)
    assert again.preset["crop"] == 64 and again.parts_sha256 == opened.parts_sha256
    engine: Any = engines.load("revideo", again, {"steps": 1}, dtype="fp32")
    kept = engine.network.control.conv_in.weight
    assert torch.equal(kept, base.network.conv_in.weight.to(torch.bfloat16).float())
