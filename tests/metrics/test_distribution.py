"""FID, FVD and KVD: formulas against scipy and torchmetrics, networks of random weights, folders of clips."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vedit.errors import InputError, ModelError, UsageError
from vedit.metrics import distribution
from vedit.metrics.distribution import Moments, frechet, kernel_distance
from vedit.nets.features import FeatureNetwork, i3d, inception_v3
from vedit.weights.features import load_features

torch.set_num_threads(1)


def rows(seed: int, count: int = 60, width: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)


def test_frechet_distance_is_the_formula_with_scipys_matrix_root():
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is not installed")
    one, other = rows(0), rows(1)
    means, covs = [v.mean(0) for v in (one, other)], [np.cov(v, rowvar=False) for v in (one, other)]
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(
        covs[0] + covs[1] - 2 * linalg.sqrtm(covs[0] @ covs[1]).real
    )
    assert frechet(means[0], covs[0], means[1], covs[1]) == pytest.approx(float(expected), rel=1e-9)


def test_frechet_distance_is_that_of_torchmetrics():
    module = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics is not installed")
    one, other = (Moments() for _ in range(2))
    one.add(rows(2))
    other.add(rows(3))
    tensors = [torch.from_numpy(value) for moments in (one, other) for value in moments.normal()]
    assert frechet(*one.normal(), *other.normal()) == pytest.approx(float(module._compute_fid(*tensors)), rel=1e-7)


def test_frechet_distance_of_equal_and_of_shifted_sets():
    one = Moments()
    one.add(rows(4, 5, 7))  # fewer rows than columns: the covariance is singular
    mean, cov = one.normal()
    assert frechet(mean, cov, mean, cov) == pytest.approx(0, abs=1e-6)
    assert frechet(mean, cov, mean + 2, cov) == pytest.approx(4 * 7, rel=1e-6)


def test_kernel_distance_by_its_definition():
    one, other = rows(5, 6), rows(6, 8)
    k = lambda a, b: (float(a @ b) / 7 + 1) ** 3  # noqa: E731
    within = [np.mean([k(v[i], v[j]) for i in range(len(v)) for j in range(len(v)) if i != j]) for v in (one, other)]
    expected = sum(within) - 2 * np.mean([k(a, b) for a in one for b in other])
    assert kernel_distance(one, other) == pytest.approx(float(expected), rel=1e-10)
    with pytest.raises(ValueError, match="two rows"):
        kernel_distance(one[:1], other)


def test_kernel_distance_is_that_of_torchmetrics():
    module = pytest.importorskip("torchmetrics.image.kid", reason="torchmetrics is not installed")
    one, other = rows(7, 9), rows(8, 9)
    expected = module.poly_mmd(torch.from_numpy(one), torch.from_numpy(other))
    assert kernel_distance(one, other) == pytest.approx(float(expected), rel=1e-7)


def test_running_moments_are_those_of_all_rows():
    every = rows(9) + 1e4
    running = Moments(keep=True)
    for part in np.array_split(every, 7):
        running.add(part)
    mean, cov = running.normal()
    np.testing.assert_allclose(mean, every.mean(0), rtol=1e-12)
    np.testing.assert_allclose(cov, np.cov(every, rowvar=False), rtol=1e-8)
    np.testing.assert_array_equal(np.stack(running.rows), every)


# networks


def test_inception_has_its_size():
    network = FeatureNetwork(inception_v3(), 2)
    assert sum(parameter.numel() for parameter in network.parameters()) == 21_785_568  # without its classifier
    assert network.width == 2048
    assert "Mixed_7c.branch3x3dbl_3b.conv.weight" in network.state_dict()
    assert network.state_dict()["Mixed_6e.branch7x7_2.conv.weight"].shape == (192, 192, 1, 7)


def test_i3d_has_its_units():
    state = FeatureNetwork(i3d(), 3).state_dict()
    convolutions = [key for key in state if key.endswith("conv.weight")]
    assert len(convolutions) == 3 + 9 * 6 + 1
    assert state["logits.conv.weight"].shape == (400, 1024, 1, 1, 1)
    assert state["Conv3d_1a_7x7.conv.weight"].shape == (64, 3, 7, 7, 7)
    assert state["Mixed_5c.b2b.conv.weight"].shape == (128, 48, 3, 3, 3)


def test_same_padding_is_tensorflows():
    """Output size ⌈n / s⌉, the odd pixel at the end."""
    layers = [{"conv": "a", "channels": 1, "kernel": 3, "stride": 2, "padding": "same", "norm": False, "relu": False}]
    network = FeatureNetwork(layers, 2)
    with torch.no_grad():
        network.get_parameter("a.conv.weight").fill_(1.0)
        network.get_parameter("a.conv.bias").zero_()
    found = network._run(network.layers, torch.ones(1, 3, 4, 4))[0, 0]
    assert found.tolist() == [[27, 18], [18, 12]]


def test_averages_leave_the_padding_out():
    network = FeatureNetwork([{"pool": "average", "kernel": 3, "stride": 1, "padding": 1}], 2)
    assert torch.equal(network._run(network.layers, torch.ones(1, 3, 4, 4)), torch.ones(1, 3, 4, 4))


SMALL = [
    {"conv": "stem.one", "channels": 6, "kernel": 3, "stride": 2, "padding": "same"},
    {
        "branches": [
            [{"conv": "mix.a", "channels": 5, "kernel": 1}],
            [
                {"pool": "max", "kernel": 3, "stride": 1, "padding": 1},
                {"conv": "mix.b", "channels": 4, "kernel": 1, "norm": False},
            ],
        ]
    },
]


def write_network(folder, video: bool = False, **changes):
    folder.mkdir()
    torch.manual_seed(0)
    network = FeatureNetwork(SMALL, 3 if video else 2)
    save_file(network.state_dict(), folder / "model.safetensors")
    config = {"_class_name": "FeatureNetwork", "input": "video" if video else "image", "size": 24, "mean": [0.5] * 3,
              "std": [0.25] * 3, "layers": SMALL} | ({"frames": 4} if video else {})  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"_class_name": "Other"}, "FeatureNetwork"),
        ({"size": "big"}, "size"),
        ({"std": [1]}, "std"),
        ({"layers": "resnet"}, "i3d"),
        ({"layers": [{"dense": 3}]}, "no convolution"),
        ({"layers": [*SMALL, SMALL[0]]}, "twice"),
        ({"layers": SMALL[:1]}, "unexpected keys"),
    ],
)
def test_networks_that_cannot_be_used(tmp_path, changes, said):
    with pytest.raises(ModelError, match=said):
        load_features(str(write_network(tmp_path / "net", **changes)))


def test_a_network_that_lacks_its_weights(tmp_path):
    folder = write_network(tmp_path / "net")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_features(str(folder))


# folders


@pytest.fixture
def folders(synth, tmp_path):
    for name, by in (("real", 1), ("edited", 3)):
        (tmp_path / name).mkdir()
        for seed in range(3):
            frames = [frame // by for frame in synth.moving_frames(5, 48, 32, seed=seed)]
            synth.make_clip(tmp_path / name / f"{seed}.mp4", frames)
        (tmp_path / name / "notes.txt").write_text("no clip")
    return str(tmp_path / "real"), str(tmp_path / "edited")


@pytest.mark.parametrize("video", [False, True])
def test_folders_of_clips(tmp_path, folders, video):
    network = str(write_network(tmp_path / "net", video))
    same, other = distribution.compare(folders[0], folders, [network], None, (), "cpu").figures
    assert list(same) == (["fvd", "kvd"] if video else ["fid"])
    name = "fvd" if video else "fid"
    assert same[name].value == pytest.approx(0, abs=1e-6)
    assert (other[name].value or 0) > 0.01
    assert other[name].model == "net"


def test_features_are_of_every_frame_or_of_the_first_frames_of_every_clip(tmp_path, folders):
    images = load_features(str(write_network(tmp_path / "images")))
    clips = load_features(str(write_network(tmp_path / "clips", True)))
    assert distribution.moments(folders[0], images).count == 15
    assert distribution.moments(folders[0], clips).count == 3
    (batch,) = distribution._batches(distribution.clips_of(folders[0])[0], clips)
    assert batch.shape == (1, 3, 4, 24, 24)


def test_what_folders_cannot_be_asked(tmp_path, folders):
    network = str(write_network(tmp_path / "net"))
    for metrics, said in (("fvd", "video kind"), ("psnr", "single clips"), ("fis", "did you mean fid")):
        with pytest.raises(UsageError, match=said):
            distribution.compare(folders[0], folders, [network], metrics, (), "cpu")
    with pytest.raises(UsageError, match="two networks give fid"):
        distribution.compare(folders[0], folders, [network, network], None, (), "cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds 0 videos"):
        distribution.compare(str(tmp_path / "empty"), folders, [network], None, (), "cpu")
    longer = str(write_network(tmp_path / "long", True, frames=6))
    with pytest.raises(InputError, match="has 5 frames"):
        distribution.compare(folders[0], folders, [longer], None, (), "cpu")


def test_the_command(tmp_path, folders, monkeypatch, capsys):
    from vedit.cli import app, console

    network = str(write_network(tmp_path / "net"))

    def run(*words) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["vedit", "evaluate", *words])
        console.configure()
        code = app.run()
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, err = run(*folders, "--features", network, "--json", "--fail-over", "fid=0.0001", "--device", "cpu")
    answer = json.loads(out)
    assert (code, answer["failed"][0]["metric"], answer["clips"]) == (6, "fid", 3)
    assert answer["edited"][0]["metrics"]["fid"]["model"] == "net"
    assert err.count("\n") == 1
    assert run(*folders)[0] == 2
    assert run(folders[0], f"{folders[1]}/0.mp4", "--features", network)[0] == 3
