"""Masks from the attention to words, and latents blended by them."""

import torch

from vedit.diffusion.masks import blended, of_words


def maps(place, word, length=3, side=6):
    """Attention (1, 2 heads, side², length): all of the picture to word 0, but for one place, to ``word``."""
    made = torch.zeros(1, 2, side * side, length)
    made[..., 0] = 1.0
    made[..., place, :] = 0.0
    made[..., place, word] = 1.0
    return made


def test_the_mask_is_where_the_words_are_attended_to_and_a_pixel_around():
    mask = of_words([maps(14, 2)], [2], (6, 6), 0.3)  # row 2, column 2
    wanted = torch.zeros(1, 1, 6, 6)
    wanted[..., 1:4, 1:4] = 1.0
    assert torch.equal(mask, wanted)
    assert not of_words([maps(14, 2)], [1], (6, 6), 0.3).any()


def test_layers_count_by_their_mean():
    both = [maps(0, 2), maps(35, 2)]
    assert of_words(both, [2], (6, 6), 0.3)[0, 0, [0, 5], [0, 5]].tolist() == [1.0, 1.0]
    weak = [maps(0, 2), maps(0, 2), maps(0, 2), maps(35, 2)]  # a third of the most
    assert of_words(weak, [2], (6, 6), 0.4)[0, 0, [0, 5], [0, 5]].tolist() == [1.0, 0.0]


def test_latents_are_one_inside_and_the_other_outside():
    inside, outside = torch.ones(1, 4, 4, 4), torch.zeros(1, 4, 4, 4)
    mask = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[None, None]
    made = blended(inside, outside, mask)
    assert torch.equal(made[0, 0], torch.kron(mask[0, 0], torch.ones(2, 2)))
