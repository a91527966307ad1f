"""TokenFlow's nearest-neighbour field, and how keyframes share a frame."""

import torch

from vedit.diffusion import field


def test_the_field_of_a_frame_on_itself_is_the_identity():
    """Methods invariant 7."""
    tokens = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(field.nearest(tokens[:1], tokens[0])[0], torch.arange(6))
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(field.nearest(3.0 * tokens[:1, order], tokens[0])[0], order)


def test_nearest_in_parts_is_nearest(monkeypatch):
    tokens = torch.randn(3, 7, 8, generator=torch.Generator().manual_seed(0))
    whole = field.nearest(tokens, tokens[1])
    monkeypatch.setattr(field, "MATCHES_AT_ONCE", 10)
    assert torch.equal(field.nearest(tokens, tokens[1]), whole)


def test_the_own_keyframe_weighs_more():
    weights = field.shares(range(8, 16), 11.5, 3.5)
    assert bool((weights >= 0.5).all())
    assert bool((weights <= torch.tensor(1.0).sigmoid()).all())
    assert int(weights.argmax()) in (3, 4)  # next to its centre
