"""AnyV2V: what it puts in, what it leaves behind, and that nothing asked for changes nothing."""

import pytest
import torch

from vedit import engines, weights
from vedit.cache import Cache
from vedit.diffusion import edm
from vedit.diffusion.attention import places
from vedit.engines.anyv2v import AnyV2V, Features, Settings
from vedit.engines.base import Spread, Window
from vedit.engines.image2video import Image2Video
from vedit.engines.shared import Carry, Tally

torch.set_num_threads(1)
PLAIN = {"steps": 3, "min_guidance": 1.0, "max_guidance": 1.0, "noise_augmentation": 0.0}
ALL = frozenset(("convolution", "spatial", "temporal"))


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_models):
    bundle = weights.open_bundle(tiny_models.write_bundle(tmp_path_factory.mktemp("models") / "tiny"), "image2video")
    return Image2Video.from_bundle(bundle, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def frames(tiny_models):
    return tiny_models.clip_frames(4, 64, 64)


def modules_and_hooks(network):
    found = []
    for name, module in network.named_modules():
        hooks = len(module._forward_hooks) + len(module._forward_pre_hooks)
        found.append((name, type(module).__name__, hooks, type(getattr(module, "processor", None)).__name__))
    return found


def seen(base, frames):
    """A condition and noisy latents of a clip, and the network's output there."""
    z = edm.to_network(
        base.codec.encode(frames) + 2.0 * torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(2)), 2.0
    )
    condition = base.condition(frames[0], Settings(**PLAIN))
    return z, condition, base.predict(z, 2.0, condition, Tally())


@torch.inference_mode()
def test_places_of_an_svd_network(base):
    spatial, temporal = (places(base.network, text=False, temporal=flag) for flag in (False, True))
    assert len(spatial) == len(temporal) == 16
    assert [(p.part, p.block, p.layer, p.factor) for p in spatial] == [
        (p.part, p.block, p.layer, p.factor) for p in temporal
    ]
    assert all("temporal_transformer_blocks" in place.name for place in temporal)
    assert {place.block for place in spatial if place.part == "up"} == {1, 2, 3}
    layers = Features(base.network)._layers
    assert [(p.block, p.layer) for p in layers["temporal"]] == [
        (1, 1),
        (1, 2),
        *((b, n) for b in (2, 3) for n in range(3)),
    ]


@torch.inference_mode()
@pytest.mark.parametrize(
    "parts", [*(frozenset([part]) for part in sorted(ALL)), ALL], ids=lambda parts: "+".join(sorted(parts))
)
def test_what_is_put_in_is_the_sources_and_nothing_stays(base, frames, parts):
    before = modules_and_hooks(base.network)
    z, condition, plain = seen(base, frames)
    features = Features(base.network)
    with features.recorded(parts):
        torch.testing.assert_close(base.predict(z, 2.0, condition, Tally()), plain, rtol=1e-3, atol=1e-3)
    with features.injected(parts):  # the network's own: nothing changes
        torch.testing.assert_close(base.predict(z, 2.0, condition, Tally()), plain, rtol=1e-3, atol=1e-3)
    other = torch.randn(z.shape, generator=torch.Generator().manual_seed(9))
    own = base.predict(other, 2.0, condition, Tally())
    with features.injected(parts):
        mixed = base.predict(other, 2.0, condition, Tally())
    assert float((mixed - own).abs().max()) > 1e-3
    assert modules_and_hooks(base.network) == before
    with pytest.raises(RuntimeError, match="broken"), features.injected(parts):
        raise RuntimeError("broken")
    assert modules_and_hooks(base.network) == before
    features.forget()
    with pytest.raises(KeyError), features.injected(parts):
        base.predict(z, 2.0, condition, Tally())
    assert modules_and_hooks(base.network) == before


class Constant:
    """A base whose network always finds the same noise: inversion and sampling are then exact."""

    def __init__(self, base, shape):
        self.noise = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        self._base = base

    def __getattr__(self, name):
        return getattr(self._base, name)

    def predict(self, z, sigma, condition, tally, forward=None):
        return self.predict_all(z, sigma, [condition], tally)[0]

    def predict_all(self, z, sigma, conditions, tally, forward=None):
        tally.evaluations += len(conditions)
        alpha, beta = edm.alpha_beta(sigma)
        return ((self.noise - beta * z) / alpha).expand(len(conditions), *z.shape)

    def sample(self, *arguments, **more):
        return Image2Video.sample(self, *arguments, **more)  # type: ignore[arg-type]


@torch.inference_mode()
def test_the_source_as_its_own_edit_comes_back(base, frames):
    """Methods invariant 3, through the whole engine: inversion, sampling, codec."""
    engine = AnyV2V(
        Constant(base, (4, 4, 8, 8)), Settings(**PLAIN | {"steps": 8, "convolution": 0, "spatial": 0, "temporal": 0})
    )  # type: ignore[arg-type]
    done = engine.edit(Window(frames, 0), Spread(frames[0]))
    torch.testing.assert_close(done.frames, done.reconstruction, rtol=0, atol=5e-3)
    assert done.evaluations - done.inversion_evaluations == done.inversion_evaluations == 8


@torch.inference_mode()
def test_the_edited_frame_matters_and_so_do_the_shares(base, frames):
    edit = Spread(frames[0].flip(-1) * 0.5)

    def made(**changes):
        return AnyV2V(base, Settings(**PLAIN | changes)).edit(Window(frames, 0), edit)

    none = made(convolution=0, spatial=0, temporal=0)
    full = made(convolution=1, spatial=1, temporal=1)
    torch.testing.assert_close(none.frames[0], base.codec.decode(base.codec.encode(edit.frame[None]))[0])
    assert float((none.frames[1:] - none.reconstruction[1:]).abs().mean()) > 1e-3
    assert float((none.frames - full.frames).abs().max()) > 1e-3
    assert (none.inversion_evaluations, none.evaluations) == (3, 6)
    assert full.evaluations == 9  # one more at every step, for the source
    assert made(convolution=0, spatial=0, temporal=0.34).evaluations == 7
    guided = made(max_guidance=3.0, convolution=0, spatial=0, temporal=0.34)
    assert guided.evaluations == 3 + 1 + 2 * 3


def test_shares_count_the_steps_that_are_taken(base):
    asked = Settings(steps=10, convolution=0.2, spatial=0.0, temporal=0.5)
    found = [asked.parts(step, 0) for step in base.levels.steps(10)]
    assert found == [{"convolution", "temporal"}] * 2 + [{"temporal"}] * 3 + [frozenset()] * 5
    levels, usual = edm.EDM(0.002, 700.0), Settings(steps=25)  # Stable Video Diffusion's
    start = edm.first_step(levels, 25, usual.highest)
    found = [usual.parts(step, start) for step in levels.steps(25)[start:]]
    assert start == 8
    assert found == [{"convolution", "spatial", "temporal"}] * 3 + [{"temporal"}] * 5 + [frozenset()] * 9


@torch.inference_mode()
def test_windows_hand_their_last_frame_on(base, frames, monkeypatch):
    engine = AnyV2V(base, Settings(**PLAIN))
    first = engine.edit(Window(frames[:3], 10), Spread(frames[0] * -1))
    asked = []
    monkeypatch.setattr(
        base,
        "condition",
        lambda frame, *_, **more: asked.append(frame) or Image2Video.condition(base, frame, *_, **more),
    )
    second = engine.edit(Window(frames[2:], 12, 1, first.carry), Spread(frames[0] * -1))
    torch.testing.assert_close(asked[0], frames[2])
    torch.testing.assert_close(asked[1], first.frames[2])
    torch.testing.assert_close(second.frames[0], first.frames[2])
    assert second.frames.shape == (2, 3, 64, 64)
    assert isinstance(second.carry, Carry) and second.carry.first == 12
    with pytest.raises(ValueError, match="shares no frame"):
        engine.edit(Window(frames[2:], 13, 0, first.carry), Spread(frames[0]))


@torch.inference_mode()
def test_of_several_shared_frames_all_are_led_to(base, frames, monkeypatch):
    engine = AnyV2V(base, Settings(**PLAIN))
    first = engine.edit(Window(frames[:3], 10), Spread(frames[0] * -1))
    sampled = []
    monkeypatch.setattr(
        base, "sample", lambda *given, **more: sampled.append(Image2Video.sample(base, *given, **more)) or sampled[-1]
    )
    second = engine.edit(Window(frames[1:], 11, 2, first.carry), Spread(frames[0] * -1))
    torch.testing.assert_close(sampled[-1][:2], base.codec.encode(first.frames[1:]), rtol=0, atol=1e-4)
    assert not torch.allclose(sampled[-1][2], base.codec.encode(first.frames[2:])[0], atol=1e-2)
    torch.testing.assert_close(second.frames[:2], first.frames[1:])


@torch.inference_mode()
def test_a_second_edit_takes_the_way_back_from_the_cache(base, frames, tmp_path):
    def engine(**changes):
        return AnyV2V(base, Settings(**PLAIN | changes), cache=Cache(tmp_path / "cache"))

    first = engine().edit(Window(frames, 0), Spread(frames[0] * 0.5))
    again = engine(temporal=0.0).edit(Window(frames, 0), Spread(frames[0] * -0.5))
    assert (first.inversion_evaluations, again.inversion_evaluations) == (3, 0)
    same = engine().edit(Window(frames, 0), Spread(frames[0] * 0.5))
    assert torch.equal(same.frames, first.frames)
    assert engine(motion_bucket=9).edit(Window(frames, 0), Spread(frames[0])).inversion_evaluations == 3


@torch.inference_mode()
def test_a_whole_svd_folder_edits(tmp_path, tiny_models):
    bundle = weights.open_bundle(tiny_models.write_image2video(tmp_path / "svd"), "image2video")
    engine = engines.load("anyv2v", bundle, {"steps": 4}, dtype="fp32")
    frames = tiny_models.clip_frames(2, 64, 64)
    done = engine.edit(Window(frames, 0), Spread(frames[0] * -1, "a text"))
    assert done.frames.isfinite().all() and done.frames.shape == frames.shape
    assert engine.knows(Spread(frames[0])) is None
    assert "reads pictures only" in (engine.knows(Spread(frames[0], "a text")) or "")
