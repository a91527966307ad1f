import pytest
import torch

from vedit.diffusion.guidance import text, text_video

OUTPUTS = {name: torch.randn(2, 3, generator=torch.Generator().manual_seed(i)) for i, name in enumerate("uvf")}
BRANCHES = {"uncond": OUTPUTS["u"], "video": OUTPUTS["v"], "full": OUTPUTS["f"]}


def guide(text_scale, video_scale, **options):
    asked = []
    output, evaluations = text_video(
        lambda name: asked.append(name) or BRANCHES[name], text_scale, video_scale, **options
    )
    assert evaluations == len(asked)
    return output, asked


@pytest.mark.parametrize(
    ("text_scale", "video_scale", "asked"),
    [
        (1.0, 1.0, ["full"]),
        (0.0, 1.0, ["video"]),
        (0.0, 0.0, ["uncond"]),
        (7.5, 1.0, ["video", "full"]),
        (1.5, 1.5, ["uncond", "full"]),
        (0.0, 1.5, ["uncond", "video"]),
        (7.5, 1.5, ["uncond", "video", "full"]),
    ],
)
def test_three_terms_and_skipped_branches(text_scale, video_scale, asked):
    output, evaluated = guide(text_scale, video_scale)
    uncond, video, full = BRANCHES.values()
    torch.testing.assert_close(output, uncond + video_scale * (video - uncond) + text_scale * (full - video))
    assert evaluated == asked
    if len(asked) == 1:
        assert output is BRANCHES[asked[0]]


def test_rescale_restores_the_deviation_of_the_full_branch():
    plain, _ = guide(7.5, 1.5)
    full, _ = guide(7.5, 1.5, rescale=1.0)
    half, _ = guide(7.5, 1.5, rescale=0.5)
    torch.testing.assert_close(full.std(), BRANCHES["full"].std())
    torch.testing.assert_close(half, (plain + full) / 2)
    assert torch.equal(guide(1.0, 1.0, rescale=1.0)[0], BRANCHES["full"])


@pytest.mark.parametrize(("scale", "asked"), [(7.5, ["uncond", "full"]), (1.0, ["full"]), (0.0, ["uncond"])])
def test_guidance_by_text_alone(scale, asked):
    outputs, seen = {"uncond": torch.randn(3), "full": torch.randn(3)}, []

    def evaluate(name):
        seen.append(name)
        return outputs[name]

    guided, made = text(evaluate, scale)
    torch.testing.assert_close(guided, outputs["uncond"] + scale * (outputs["full"] - outputs["uncond"]))
    assert (seen, made) == (asked, len(asked))
