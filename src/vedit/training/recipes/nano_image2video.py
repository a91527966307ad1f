"""nano's image-to-video model: clips of the moving world, in the class of Stable Video Diffusion and told the same.

    python -m vedit.training.recipes.nano_image2video cache
    python -m vedit.training.recipes.nano_image2video vae --out runs/image2video
    python -m vedit.training.recipes.nano_image2video train --out runs/image2video

(``--clip`` says where nano-CLIP is, if not in ``runs``.) The network is diffusers'
``UNetSpatioTemporalConditionModel`` from scratch, trained towards v at levels whose logarithm is normal. It gets the
first frame's latents beside every frame, the first frame as nano-CLIP's vector, and three numbers: the frame rate, how
much moves, how much noise was put on the first frame. One clip in ten goes without the picture, for guidance.

Most of what a clip shows has to be carried from its first frame, so attention is needed at the finest level, latents of
about unit variance, and levels high enough that motion is undecided (Blattmann et al. 2023, appendix D, say the same of
levels). It has an autoencoder of its own, of stride 4 and few channels, whose encoder is linear: what moves by a pixel
is then nearly the same latents a little further, and sixteen channels at stride 8 were more than a network this narrow
could carry.

A base this small, trained by itself, does not learn to move things to where it is told; so it learns together with
ReVideo's control, on most steps under true tracks and on the others alone (:mod:`vedit.training.revideo`, stage 0), and
mostly on clips where tracks are all there is to know (:mod:`vedit.world.pasted`). What the control learns is kept as
``prior.safetensors``, for :mod:`~vedit.training.recipes.nano_revideo` to go on from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vedit import weights
from vedit.diffusion.edm import EDM
from vedit.diffusion.noise import frame_noise
from vedit.engines.image2video import Image2Video
from vedit.engines.revideo import Settings as Told
from vedit.engines.shared import Tally
from vedit.nets.codec import Codec
from vedit.nets.patch_autoencoder import PatchAutoencoder
from vedit.nets.revideo import HALF, Conditions, ReVideoConfig, ReVideoUNet, begin_with_motion
from vedit.nets.strict import fill_parameters
from vedit.training import common
from vedit.training.common import BEGAN, Run, sha256, step_rng
from vedit.training.moving_clips import Mixed, MovingClips, View, WorldClips, draw_clips
from vedit.training.nano import forget_origin, hash_of, options, write_scheduler
from vedit.training.recipes import vae as vae_recipe
from vedit.training.revideo import Batch, Settings, Trainer, draw_batch
from vedit.weights.load import load_tensors

CROP, FRAMES = 128, 8  # pixels of a drawn clip's sides; frames
SIZE, SIDE = 128, 64  # pixels: what the short side of a picture is edited at; of the squares that training sees most of
SMALLEST = 80  # of a drawn clip's pixels are seen at least
SCHEDULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "interpolation_type": "linear",
    "timestep_type": "continuous",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 80.0,  # hardly any level of the training is higher
}
CODEC: dict[str, Any] = {
    "latent_channels": 5,
    "patch_size": 4,
    "encoder_width": 8,
    "encoder_layers": 0,
    "decoder_width": 80,
    "decoder_layers": 3,
}
#: Of the variances of the latents' channels, how much is evened out: so that colours count more than fine structure.
WHITEN = 0.5
LAYOUT: dict[str, Any] = {
    "sample_size": SIZE // CODEC["patch_size"],
    "in_channels": 2 * CODEC["latent_channels"],
    "out_channels": CODEC["latent_channels"],
    "block_out_channels": (64, 64, 64, 64),
    "layers_per_block": 1,
    "cross_attention_dim": 128,
    "num_attention_heads": 4,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 96,
    "num_frames": FRAMES,
}
#: Chosen with ``benchmarks/first_frame.py`` on the first version, of sixteen channels (guidance makes what is left
#: undecided worse; fixed points keep the rest) and with ``benchmarks/drag_motion.py``.
PRESET: dict[str, Any] = {
    "steps": 16,
    "min_guidance": 1.0,
    "max_guidance": 1.0,
    "fps": 12,
    "fps_offset": 0,  # the network reads the frame rate itself
    "motion_bucket": 80,
    "noise_augmentation": 0.0,
    "frames": FRAMES,
    "overlap": 1,
    "size": SIZE,
    "multiple": 8,
    # Told the first frame, the tracks and what lies around the region, hardly anything is left undecided: one step, at
    # which the network says the mean of what may come, is nearer to the truth than any other number of them.
    "methods": {
        "anyv2v": {"convolution": 1.0, "spatial": 1.0, "temporal": 1.0, "fixed_point": 2},
        "revideo": {"steps": 1, "max_guidance": 1.5, "apart": True},
    },
}
#: How base and motion prior are trained together.
TOGETHER = Settings(
    stage=0, steps=5000, rate=8e-4, batch=6, warm=100, noise_mean=1.4, noise_deviation=1.5, dropout=0.1,
    drop_embedding=0.05, noisy_share=0.5, alone=0.1, things=4.0, average=0.998, seed=1, save_every=200,
    terminal_share=0.4,
)  # fmt: skip
PASTED = 0.75  # of the clips at first; half as many in the last third of the steps
VAE_STEPS = 1500
PRIOR = "prior.safetensors"  # in the folder of the training: what the control has learnt


# --- the autoencoder --------------------------------------------------------------------------------------------------


def stills(clips: WorldClips, rng: np.random.Generator, count: int) -> np.ndarray:
    """Random frames, (count, S, S, 3) uint8."""
    found = [clips.draw(rng).pixels for _ in range(count)]
    return np.stack([clip[rng.integers(len(clip))] for clip in found])


def train_vae(
    out: Path, clips: WorldClips, steps: int, seed: int, device: str, resume: bool, start: Path | None = None
) -> None:
    """Train and write ``out/vae``, in half precision: a linear encoder, and a decoder that learns what the linear one
    leaves out. ``start``: the folder of a training whose encoder stays, for a decoder of its own."""
    identity = {
        "recipe": "nano_image2video vae",
        "steps": steps,
        "seed": seed,
        "data": clips.identity,
        "whiten": WHITEN,
    }
    if start is not None:
        identity["encoder"] = hash_of(start / "vae")
    run = Run(out / "codec", identity | CODEC, resume)
    views = (clips.at(View(SIDE, SMALLEST, CROP)), clips.at(View(SIDE, SIDE, SIDE)))
    torch.manual_seed(seed)
    vae = PatchAutoencoder(**CODEC)
    if start is None:
        some = torch.from_numpy(stills(views[0], np.random.default_rng(0), 600)).permute(0, 3, 1, 2).float() / 127.5 - 1
        vae.start_from_components(
            *vae_recipe.principal_components(some, CODEC["latent_channels"], CODEC["patch_size"], WHITEN)
        )
    else:
        earlier: Any = weights.load_vae(start / "vae").vae
        for name in ("encoder_linear", "decoder_linear"):
            getattr(vae, name).load_state_dict(getattr(earlier, name).float().state_dict())
    for part in (vae.encoder, vae.encoder_linear):
        part.requires_grad_(False)

    def make(step: int) -> Tensor:
        rng = step_rng(seed, step, 63)
        drawn = stills(views[step % 2], rng, 16).astype(np.float32) / 255
        changed = [vae_recipe.change(one, rng) if rng.random() < 0.5 else one for one in drawn]
        return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2).float() * 2 - 1

    vae_recipe.fit(run, vae, make, steps, 1e-3, 0.08, seed, device)
    # Half precision with the longer mantissa: what the base is trained on should not change when it is stored.
    final: Any = nn.Module.to(vae, "cpu", torch.float16)  # diffusers' own prints advice
    final.save_pretrained(out / "vae")


# --- base and motion prior --------------------------------------------------------------------------------------------


class Together(Trainer):
    """Base and motion prior at once, on squares of several sizes: small ones first, a few large ones at the end.

    ``pasted``: the share of clips in which shapes travel before a still picture.
    """

    pasted = PASTED

    def batch(self, step: int) -> Batch:
        """See :func:`vedit.training.revideo.draw_batch`."""
        settings, source = self.settings, self.source
        assert isinstance(source, WorldClips)
        side, count = size_of_step(step, settings)
        share = self.pasted * (1.0 if 3 * step < 2 * settings.steps else 0.5)
        clips = Mixed(source.at(View(side, max(side, SMALLEST), CROP)), share)
        few = replace(settings, batch=count)
        return draw_batch(clips, few, self.network.control.config, step, self.base.codec.stride)


def size_of_step(step: int, settings: Settings) -> tuple[int, int]:
    """Pixels of the squares that a step sees, and how many clips of them."""
    late = step >= 0.6 * settings.steps
    drawn = float(step_rng(settings.seed, step, 61).random())
    if drawn < (0.25 if late else 0.6):
        return SIDE * 3 // 4, settings.batch
    return (SIDE * 3 // 2, max(1, settings.batch // 2)) if late and drawn > 0.8 else (SIDE, settings.batch)


def fresh(codec: Codec, seed: int) -> ReVideoUNet:
    """A base and a control that know nothing."""
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(seed)
    network: Any = UNetSpatioTemporalConditionModel(**LAYOUT)
    nn.init.zeros_(network.conv_out.weight)
    made = ReVideoUNet(network, ReVideoConfig.of(network.config, codec.stride))
    begin_with_motion(made.control)
    return made


def begun(folder: Path) -> ReVideoUNet:
    """Base and control as an earlier training has left them in its folder."""
    file = folder / PRIOR
    made = ReVideoUNet(weights.load_image2video_unet(folder / "unet").float(), config_of_prior(file))
    fill_parameters(dict(made.control.named_parameters()), load_tensors(file), str(file))
    return made


def config_of_prior(file: Path) -> ReVideoConfig:
    """What the control in ``prior.safetensors`` is made of."""
    with safe_open(file, "pt") as opened:
        return TypeAdapter(ReVideoConfig).validate_python(json.loads(opened.metadata()["config"]))


def checker(
    base: Image2Video, held: WorldClips, grid: Callable[[Sequence[tuple[Tensor, Tensor]], int], None] | None = None
) -> Callable[[ReVideoUNet, int], dict[str, float]]:
    """A check on clips kept out of training.

    The loss where things are, at σ = 4 and 20, with the true tracks, those of other clips, and none, for drawn clips
    and for those with pasted shapes. Of the latter, made from first frames and true tracks: the error of the first
    frame, and how much changes from frame to frame as a share of what does in truth (0 is a frozen clip).
    ``grid(pairs, step)`` draws (truth, made).
    """
    whole = held.at(View(SIDE, CROP, CROP))
    sources = {"": whole, "pasted_": Mixed(whole, 1.0)}
    count = min(16, len(held))

    def check(network: ReVideoUNet, step: int) -> dict[str, float]:
        settings = replace(
            TOGETHER, batch=count, dropout=0.0, drop_embedding=0.0, noisy_share=0.0, alone=0.0, things=1e6
        )
        told = Told(**{key: value for key, value in PRESET.items() if key in Told.model_fields})
        figures: dict[str, float] = {}
        for kind, source in sources.items():
            batch = draw_batch(source, settings, network.control.config, 0, base.codec.stride)
            motion = batch.given.motion
            for sigma in (4.0, 20.0):
                level = replace(settings, noise_mean=float(np.log(sigma)), noise_deviation=0.0)
                trainer = Trainer(base, network, told, level, held)
                for name, moves in (("true", motion), ("other", motion.roll(1, 0)), ("none", torch.zeros_like(motion))):
                    given = replace(batch.given, motion=moves)
                    with torch.no_grad():
                        figures[f"{kind}{name}_{sigma:g}"] = float(trainer.loss(0, replace(batch, given=given)))
        pairs = [made_and_true(base, network, batch, index, told) for index in range(min(6, count))]
        figures["first_error"] = float(np.mean([float((m[0] - t[0]).square().mean()) for t, m in pairs]))
        changes = [
            torch.stack([clip.diff(dim=0).abs().mean() for clip in side]).mean() for side in zip(*pairs, strict=True)
        ]
        figures["change"] = float(changes[1] / changes[0])
        if grid is not None:
            grid(pairs, step)
        return figures

    return check


@torch.no_grad()
def made_and_true(
    base: Image2Video, network: ReVideoUNet, batch: Batch, index: int, told: Told
) -> tuple[Tensor, Tensor]:
    """One clip of a batch as latents (T, C, h, w): the truth, and what is made of its first frame and tracks."""
    pixels, given, pair = batch.pixels[index].to(base.device), batch.given, batch.numbers[index]
    assert pair is not None
    one = Conditions(given.motion[index, None].to(base.device), given.mask[index, None].to(base.device), None)
    settings = told.model_copy(update={"fps": pair[0], "motion_bucket": pair[1]})

    def forward(sample: Tensor, level: Tensor, image: Tensor, ids: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        return (network(sample, level, image, ids, one.expand(len(sample)), HALF),)

    truth = base.codec.encode(pixels)
    noise = frame_noise(3, range(len(truth)), truth.shape[1:]).to(truth)
    made = base.sample(
        base.levels.start(noise), base.condition(pixels[0], settings), settings, Tally(), forward=forward
    )  # fmt: skip
    return truth, made


def draw_grid(pairs: Sequence[tuple[Tensor, Tensor]], decode: Callable[[Tensor], Tensor], picture: Path) -> None:
    """A PNG: for each pair of clips (T, C, h, w) a row of the true frames above a row of the made ones."""
    import cv2

    rows = [
        np.concatenate(list(((decode(clip).clamp(-1, 1).cpu() + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()), 1)
        for pair in pairs
        for clip in pair
    ]
    picture.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(picture), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


def export(network: ReVideoUNet, folder: Path) -> None:
    """Write ``unet`` (bf16), ``scheduler``, ``preset.json`` and the control's ``prior.safetensors`` into ``folder``."""
    config = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(network.control.config).items()
    }
    prior = {name: p.detach().contiguous() for name, p in network.control.named_parameters()}
    save_file(prior, folder / PRIOR, metadata={"config": json.dumps(config)})
    final: Any = nn.Module.to(network.base, "cpu", torch.bfloat16)  # diffusers' own prints advice
    final.save_pretrained(folder / "unet")
    forget_origin(folder / "unet")
    write_scheduler(folder, SCHEDULER)
    (folder / "preset.json").write_text(json.dumps(PRESET, indent=2) + "\n")


def main() -> None:
    """Command line of the recipe."""
    parser = options(
        __doc__, common.Settings(TOGETHER.steps, TOGETHER.batch, TOGETHER.rate), "runs/image2video",
        ("cache", "vae", "train"),
    )  # fmt: skip
    parser.add_argument("--scenes", type=int, default=3000, help="two clips each")
    parser.add_argument("--workers", type=int, help="processes that draw; by default one a core")
    parser.add_argument(
        "--pasted", type=float, default=PASTED, help="share of clips with shapes before a still picture"
    )
    parser.add_argument(
        "--start", type=Path, help="--out of an earlier training, to go on from its weights (vae: from its encoder)"
    )
    parser.add_argument("--codec-steps", type=int, default=VAE_STEPS, help="of the autoencoder's training")
    args = parser.parse_args()

    def cache(seed: int, scenes: int, each: int) -> WorldClips:
        name = f"moving-{seed}-{scenes}-{CROP}"
        drawn: MovingClips = draw_clips(args.data / name, seed, scenes, each, CROP, FRAMES, args.workers)
        return WorldClips(drawn, name)

    held, clips = cache(99, 24, 1), cache(args.seed, args.scenes, 2)
    if args.stage == "vae":
        train_vae(args.out, clips, args.codec_steps, args.seed, args.device, args.resume, args.start)
    if args.stage != "train":
        return
    codec = weights.load_vae(args.out / "vae")
    encoder = weights.load_image_encoder(args.clip, args.clip)
    network = fresh(codec, args.seed) if args.start is None else begun(args.start)
    base = Image2Video(codec, encoder, network.base, EDM.from_config(SCHEDULER), device=args.device, placed=False)
    settings = replace(TOGETHER, steps=args.steps, batch=args.batch, rate=args.rate, seed=args.seed)

    def grid(pairs: Sequence[tuple[Tensor, Tensor]], step: int) -> None:
        draw_grid(pairs, base.codec.decode, args.out / "grids" / f"{step:06d}.png")

    identity = {"recipe": "nano_image2video", **asdict(settings), "pasted": args.pasted, "data": clips.identity}
    identity["models"] = hash_of(args.out / "vae", args.clip)
    if args.start is not None:
        identity[BEGAN] = sha256(args.start / PRIOR)
    run = Run(args.out, identity, args.resume)
    told = Told(**{key: value for key, value in PRESET.items() if key in Told.model_fields})
    trainer = Together(base, network.to(args.device), told, settings, clips)
    trainer.pasted = args.pasted
    trainer.fit(run, check=checker(base, held, grid))
    export(network, args.out)


if __name__ == "__main__":
    main()
