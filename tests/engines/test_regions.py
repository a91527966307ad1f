"""Regions of a motion that do not touch."""

import pytest
import torch

from vedit.engines.base import Drag
from vedit.engines.regions import apart, owners


def asked(boxes, starts) -> Drag:
    """Regions ``boxes`` (x, y, width, height) of a picture of 20×30, points that begin at ``starts`` and go right."""
    mask = torch.zeros(20, 30)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = 1
    places = torch.tensor(starts).double()[None] + torch.arange(4)[:, None, None] * torch.tensor([1.0, 0.0])
    return Drag(mask, places, 3)


def test_one_region_is_left_as_it_is():
    one = asked([(2, 2, 8, 8)], [(4.0, 4.0), (20.0, 4.0)])
    assert apart(one) == [one]
    touching = asked([(2, 2, 8, 8), (10, 2, 6, 8)], [(4.0, 4.0), (12.0, 4.0)])
    assert apart(touching) == [touching]


def test_a_track_goes_with_the_region_that_it_begins_in_or_nearest_to():
    both = asked([(2, 2, 8, 8), (18, 4, 8, 10)], [(20.0, 8.0), (4.0, 4.0), (9.6, 4.0), (40.0, -3.0)])
    left, right = apart(both)
    assert torch.equal(left.mask + right.mask, both.mask) and float(left.mask.sum()) == 64
    assert torch.equal(left.places, both.places[:, [1, 2]]) and torch.equal(right.places, both.places[:, [0, 3]])
    assert left.first == right.first == 3


def test_a_region_without_a_track_is_there_and_has_none():
    still, moved = apart(asked([(2, 2, 8, 8), (18, 4, 8, 10)], [(20.0, 8.0)]))
    assert still.places.shape == (4, 0, 2) and moved.places.shape == (4, 1, 2)


def test_every_place_has_an_owner():
    masks = [part.mask for part in apart(asked([(2, 2, 8, 8), (18, 4, 8, 10)], [(4.0, 4.0)]))]
    nearest = owners(masks)
    for index, mask in enumerate(masks):
        assert bool((nearest[mask > 0] == index).all())
    assert nearest[0, 0] == 0 and nearest[19, 29] == 1
    assert sorted(nearest.unique().tolist()) == [0, 1]


@pytest.mark.parametrize("count", [1, 3])
def test_owners_of_so_many(count):
    masks = [torch.zeros(4, 12) for _ in range(count)]
    for index, mask in enumerate(masks):
        mask[1:3, 4 * index : 4 * index + 2] = 1
    assert sorted(owners(masks).unique().tolist()) == list(range(count))
