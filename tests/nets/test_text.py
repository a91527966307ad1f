from typing import Any

import pytest
import torch

from vedit import weights
from vedit.nets.text import TextEncoder

torch.set_num_threads(1)
LENGTH, WIDTH = 12, 16  # of tests/engines/tiny.py


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_models):
    made = tiny_models.write_diffusers(tmp_path_factory.mktemp("text"))
    tiny_models.write_clip(made / "clip", made / "tokenizer")
    return made


def encoder(folder, part="clip") -> Any:
    return TextEncoder(weights.load_clip(folder / part), weights.load_tokenizer(folder / "tokenizer"))


@torch.no_grad()
@pytest.mark.parametrize("part", ["clip", "text_encoder"])
def test_last_hidden_state(folder, part):
    text = encoder(folder, part)
    states = text(["snow", "", "no snow"])
    assert states.shape == (3, LENGTH, WIDTH)
    assert (text.width, text.length, text.can_embed) == (WIDTH, LENGTH, part == "clip")
    torch.testing.assert_close(states[:1], text(["snow"]))
    assert not torch.allclose(states[0], states[1], atol=1e-3)


@torch.no_grad()
def test_padding_is_attended_to_as_in_stable_diffusion_unless_the_configuration_says_otherwise(folder):
    text = encoder(folder)
    plain = text(["no"])
    tokens = text.tokenizer(["no"], padding="max_length", max_length=LENGTH, return_tensors="pt")
    tower = text.clip.text_model
    torch.testing.assert_close(plain, tower(input_ids=tokens["input_ids"]).last_hidden_state)
    text.clip.config.text_config.use_attention_mask = True
    torch.testing.assert_close(text(["no"]), tower(**tokens).last_hidden_state)
    assert not torch.allclose(text(["no"]), plain, atol=1e-4)


@torch.no_grad()
def test_embedding_has_unit_length_and_tells_texts_apart(folder):
    one, other, again = encoder(folder).embed(["snow", "sepia", "SNOW"])
    torch.testing.assert_close(one.norm(), torch.tensor(1.0))
    torch.testing.assert_close(one, again)
    assert float(one @ other) < 0.9999


def test_what_does_not_fit_is_counted_and_nothing_is_printed(folder, capfd):
    text = encoder(folder)
    assert text.lost("no") == 0
    assert text.lost("no " * LENGTH) == 2
    assert capfd.readouterr() == ("", "")
