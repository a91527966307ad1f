import pytest
import torch

from vedit.diffusion.words import align
from vedit.errors import UsageError

LENGTH = 10


def words(text):
    """Words of one token each; those of more letters than four of two."""
    found, column = [], 1
    for word in text.split():
        count = 2 if len(word) > 4 else 1
        found.append((word, list(range(column, column + count))))
        column += count
    return found


def maps(seed):
    return torch.rand(2, 3, LENGTH, generator=torch.Generator().manual_seed(seed)).softmax(-1)


def test_equal_prompts_give_the_sources_attention():
    alignment = align(words("a red ball"), words("A red ball"), LENGTH)
    torch.testing.assert_close(alignment.blend(maps(0), maps(1)), maps(0))
    assert alignment.source == alignment.target == []


def test_refine_keeps_words_that_stay_and_moves_them_along():
    alignment = align(words("a red ball"), words("a very red balloon"), LENGTH)
    source, target = maps(0), maps(1)
    made = alignment.blend(source, target)
    assert torch.equal(made[..., 1], source[..., 1])  # a
    assert torch.equal(made[..., 3], source[..., 2])  # red, now behind very
    assert torch.equal(made[..., [2, 4, 5]], target[..., [2, 4, 5]])  # very, balloon
    assert torch.equal(made[..., 6], source[..., 4])  # the end
    assert torch.equal(made[..., 9], source[..., 7])  # padding, as far behind the end
    assert (alignment.source, alignment.target) == ([3], [2, 4, 5])


def test_replace_gives_new_words_the_attention_of_the_old():
    source, target = maps(0), maps(1)
    made = align(words("a red ball"), words("a red cube"), LENGTH, "replace").blend(source, target)
    torch.testing.assert_close(made, source)
    spread = align(words("a ball"), words("a balloon"), LENGTH, "replace").blend(source, target)
    torch.testing.assert_close(spread[..., 2] + spread[..., 3], source[..., 2])
    with pytest.raises(UsageError, match="'ball' cannot give its attention to 'big cube'"):
        align(words("a red ball"), words("a red big cube"), LENGTH, "replace")


def test_the_end_of_long_prompts():
    long = words("a b c d e f g h")
    alignment = align(long, long, LENGTH)
    torch.testing.assert_close(alignment.blend(maps(0), maps(1)), maps(0))
    shorter = align(long, words("a"), LENGTH).blend(maps(0), maps(1))
    assert torch.equal(shorter[..., 5], maps(0)[..., 9])
