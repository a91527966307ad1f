"""nano's instruct model: stills first, then clips, all drawn by the world.

    python -m vedit.training.recipes.nano_instruct stills --out runs/stills
    python -m vedit.training.recipes.nano_instruct clips --start runs/stills/unet --out runs/clips --particles 300

(``--vae``, ``--clip`` and ``--tokenizer`` say where the other parts are, if not in ``runs``; ``--particles``: clips of
snow and rain whose noise says where they fall, which nano's preset counts on.) Stills train a plain
``UNet2DConditionModel`` (2 × 16 input channels, v-prediction, zero terminal SNR); clips inflate it and train the
temporal layers with the spatial ones at a lower rate. Both run :func:`vedit.training.instructvid2vid.fit`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from vedit.diffusion.schedule import Schedule
from vedit.training.common import autocast, averaged
from vedit.training.instructvid2vid import Settings, fit
from vedit.training.latents import Latents, Triplet, encode_triplets
from vedit.training.nano import hash_of
from vedit.training.particles import ParticleClips, particle_marks, slanting
from vedit.training.recipes.instructvid2vid import encoders
from vedit.training.stills import draw_stills
from vedit.world import operations, phrasings
from vedit.world.scene import Scene, draw_scene, recolour, remove, render, reshape

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

CROP = 128  # pixels of a 256-pixel-high frame
FRAMES = 16  # of a clip: as many as a window has
LEVELS = {  # of noise: Stable Diffusion's
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
SCHEDULER = {
    **LEVELS,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "set_alpha_to_one": True,
    "clip_sample": False,
    "steps_offset": 0,
}
SPATIAL: dict[str, Any] = {
    "sample_size": 32,
    "in_channels": 32,
    "out_channels": 16,
    "block_out_channels": (64, 128, 192, 192),
    "layers_per_block": 1,
    "cross_attention_dim": 128,
    "attention_head_dim": 4,
    "norm_num_groups": 32,
}
NAMES = list(operations.OPERATIONS)
PHRASINGS_EACH = 500


def instructions(name: str) -> tuple[str, ...]:
    """The bank of training instructions of an operation: the hand-written ones and as many from the grammar."""
    rng = np.random.default_rng([77, NAMES.index(name)])
    drawn = [phrasings.draw_instruction(name, rng) for _ in range(PHRASINGS_EACH)]
    return tuple(dict.fromkeys([*phrasings.TRAIN[name], *drawn]))


def _crop(clip: np.ndarray, y: int, x: int) -> np.ndarray:
    return clip[:, y : y + CROP, x : x + CROP]


def object_edit(
    scene: Scene, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[str, ...], str, tuple[int, int]] | None:
    """One thing of the scene changed: ``(frames after, instructions, label, (y, x) of a crop that shows it)``."""
    if not scene.things:
        return None
    index = int(rng.integers(len(scene.things)))
    thing = scene.things[index]
    kind = list(phrasings.OBJECT_EDITS)[rng.integers(len(phrasings.OBJECT_EDITS))]
    colour = str(rng.choice([c for c in phrasings.COLOUR_WORDS if c != thing.colour]))
    shape = str(rng.choice([s for s in phrasings.SHAPE_WORDS if s != thing.shape]))
    after = {
        "recolour": lambda: recolour(scene, index, colour),
        "remove": lambda: remove(scene, index),
        "replace": lambda: reshape(scene, index, shape),
    }[kind]()
    named = f"{thing.colour} {thing.shape}" if rng.random() < 0.6 else thing.shape
    asked = tuple(phrasings.draw_instruction(kind, rng, thing=named, colour=colour, shape=shape) for _ in range(3))
    drawn = render(after)
    x, y = drawn.tracks[scene.frames // 2, index]
    corner = [
        int(np.clip(round((v - CROP / 2 + rng.uniform(-24, 24)) / 8) * 8, 0, scene.height - CROP)) for v in (y, x)
    ]
    return drawn.frames, asked, kind, (corner[0], corner[1])


def still_triplets(stills: np.ndarray, seed: int, sources: int, each: int) -> Iterator[Triplet]:
    """Crops of stills with ``each`` operations done to each; now and then an object edit of the whole scene."""
    banks = {name: instructions(name) for name in NAMES}
    weights = np.array(
        [
            0.5
            if name == "nothing"
            else 0.6
            if name.startswith("tint-")
            else 1.5
            if operations.OPERATIONS[name].family == "weather"
            else 1.0
            for name in NAMES
        ]
    )
    weights /= weights.sum()
    for index in range(sources):
        rng = np.random.default_rng([seed, 60, index])
        if rng.random() < 0.08:
            scene = draw_scene(seed * 1_000_000 + 700_000 + index, 256, 256, frames=1)
            made = object_edit(scene, rng)
            if made is not None:
                after, asked, kind, (y, x) = made
                fill = [NAMES[i] for i in rng.choice(len(NAMES), each - 1, replace=False, p=weights)]
                crop = _crop(render(scene).frames, y, x)
                yield Triplet(crop, ((_crop(after, y, x), asked, kind), *_edits(crop, fill, banks, rng)))
                continue
        still = stills[index % len(stills)]
        y, x = (int(v) * 8 for v in rng.integers(0, (still.shape[0] - CROP) // 8 + 1, 2))
        crop = still[None, y : y + CROP, x : x + CROP].astype(np.float32) / 255
        if rng.random() < 0.5:
            crop = np.ascontiguousarray(crop[:, :, ::-1])
        chosen = [NAMES[i] for i in rng.choice(len(NAMES), each, replace=False, p=weights)]
        yield Triplet(crop, _edits(crop, chosen, banks, rng))


def clip_triplets(seed: int, clips: int, crops: int, each: int, frames: int) -> Iterator[Triplet]:
    """Crops of moving scenes; weather is chosen more often, since its motion is only learnt here.

    Where a scene has things, two clips in five have a crop around one of them with that one changed.
    """
    banks = {name: instructions(name) for name in NAMES}
    weights = np.array(
        [0.4 if name.startswith("tint-") else 3.0 if operations.OPERATIONS[name].stochastic else 1.0 for name in NAMES]
    )
    weights /= weights.sum()
    for index in range(clips):
        rng = np.random.default_rng([seed, 61, index])
        scene = draw_scene(seed * 1_000_000 + 800_000 + index, 256, 256, frames=frames)
        if rng.random() < 0.3:  # fast cameras too: a hand-held clip moves several pixels a frame
            scene = replace(scene, pan=(float(rng.normal(0, 0.02)), float(rng.normal(0, 0.012))))
        whole = render(scene).frames
        changed = object_edit(scene, rng) if rng.random() < 0.4 else None
        for number in range(crops):
            y, x = (int(v) * 8 for v in rng.integers(0, (256 - CROP) // 8 + 1, 2))
            edits: tuple[tuple[np.ndarray, tuple[str, ...], str], ...] = ()
            if changed is not None and number == 0:
                after, asked, kind, (y, x) = changed
                edits = ((np.ascontiguousarray(_crop(after, y, x)), asked, kind),)
            crop = np.ascontiguousarray(_crop(whole, y, x))
            chosen = [NAMES[i] for i in rng.choice(len(NAMES), each - len(edits), replace=False, p=weights)]
            yield Triplet(crop, (*edits, *_edits(crop, chosen, banks, rng)))


def particle_triplets(seed: int, clips: int, crops: int, frames: int) -> Iterator[Triplet]:
    """Crops of moving scenes, each with every operation that lets particles fall."""
    banks = {name: instructions(name) for name in operations.FALLS}
    for index in range(clips):
        rng = np.random.default_rng([seed, 62, index])
        scene = draw_scene(seed * 1_000_000 + 900_000 + index, 256, 256, frames=frames)
        whole = render(scene).frames
        for number in range(crops):
            y, x = (int(v) * 8 for v in rng.integers(0, (256 - CROP) // 8 + 1, 2))
            crop = np.ascontiguousarray(_crop(whole, y, x))
            edits = []
            for name in operations.FALLS:
                drawn, start = falling(seed, index * crops + number, name)
                edits.append((operations.apply(name, crop, seed=drawn, start=start, height=256), banks[name], name))
            yield Triplet(crop, tuple(edits))


def falling(seed: int, source: int, name: str) -> tuple[int, int]:
    """Seed and first frame of what falls on a source of :func:`particle_triplets`."""
    rng = np.random.default_rng([seed, 63, source, list(operations.FALLS).index(name)])
    return slanting(rng, name), int(rng.integers(1000))


def _edits(
    crop: np.ndarray, names: list[str], banks: dict[str, tuple[str, ...]], rng: np.random.Generator
) -> tuple[tuple[np.ndarray, tuple[str, ...], str], ...]:
    made = []
    for name in names:
        seed, start = int(rng.integers(2**31)), int(rng.integers(1000))
        made.append((operations.apply(name, crop, seed=seed, start=start, height=256), banks[name], name))
    return tuple(made)


class OneFrame(nn.Module):
    """A 2D U-Net behind the video network's call: latents (B, T, C, h, w), frames folded into the batch."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """(B, T, C, h, w), (B,), (B, L, D) → (B, T, C', h, w)."""
        batch, frames = latents.shape[:2]
        output = self.unet(
            latents.flatten(0, 1), timestep.expand(batch).repeat_interleave(frames), text.repeat_interleave(frames, 0)
        ).sample
        return output.unflatten(0, (batch, frames))


@torch.no_grad()
def channel_weight(vae: Path, stills: np.ndarray) -> Tensor:
    """How much of a picture's error an error in each latent channel makes, (C,), mean one, halfway to equal.

    The root of the measured share: the full share would starve the channels of fine structure.
    """
    from vedit import weights

    codec = weights.load_vae(vae)
    latents = codec.encode(torch.from_numpy(stills[:8].astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2))
    plain = codec.decode(latents)
    generator = torch.Generator().manual_seed(0)
    gains = []
    for channel in range(codec.channels):
        moved = latents.clone()
        moved[:, channel] += 0.2 * torch.randn(moved[:, channel].shape, generator=generator)
        gains.append((codec.decode(moved) - plain).square().mean())
    share = torch.stack(gains).sqrt()
    return share / share.mean()


def checker(held: Latents, schedule: Schedule, count: int = 96):
    """A check on triplets kept out of training: MSE of the terminal-step estimate and of six DDIM steps, per family."""
    from vedit.diffusion.sampling import ddim

    rng = np.random.default_rng(9)
    picked = rng.choice(len(held.pairs), size=min(count, len(held.pairs)), replace=False)
    source = torch.from_numpy(np.stack([held.source[held.pairs[i][0]] for i in picked]).astype(np.float32))
    edited = torch.from_numpy(np.stack([held.edited[i] for i in picked]).astype(np.float32))
    text = torch.from_numpy(
        np.stack([held.texts[held.pairs[i][1] + 3 % held.pairs[i][2]] for i in picked]).astype(np.float32)
    )
    families = [
        operations.OPERATIONS[held.pairs[i][3]].family if held.pairs[i][3] in operations.OPERATIONS else "object"
        for i in picked
    ]

    @torch.no_grad()
    def check(network: nn.Module, step: int) -> dict[str, float]:
        device = next(network.parameters()).device
        noise = torch.randn(edited.shape, generator=torch.Generator().manual_seed(5)).to(device)
        given, asked = source.to(device), text.to(device)
        figures: dict[str, float] = {}
        for steps in (1, 6):

            def denoise(z: Tensor, s: Any) -> Tensor:
                timestep = torch.full((len(z),), s.timestep, device=device)
                with autocast(device.type):
                    output = network(torch.cat([z, given], 2), timestep, asked).float()
                return schedule.to_clean(output, z, s.timestep)

            result = ddim(denoise, noise, schedule, steps)
            error = (result.cpu() - edited).square().mean(dim=(1, 2, 3, 4))
            for family in sorted(set(families)):
                figures[f"{family}_{steps}"] = float(error[[f == family for f in families]].mean())
        return figures

    return check


def spatial_part(folder: Path) -> UNet2DConditionModel:
    """The 2D U-Net inside a saved video network, whatever temporal layers it has."""
    from diffusers import UNet2DConditionModel

    from vedit.nets.video_unet import VideoUNet

    state = VideoUNet.load(folder).unet.state_dict()
    unet = UNet2DConditionModel(**SPATIAL)
    unet.load_state_dict({name: value for name, value in state.items() if "motion_modules" not in name})
    return unet


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["cache-stills", "cache-clips", "cache-particles", "stills", "clips"])
    parser.add_argument("--out", type=Path, default=Path("runs/instruct"))
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("--vae", type=Path, default=Path("runs/vae/vae"))
    parser.add_argument("--clip", type=Path, default=Path("runs/clip/clip"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer"))
    parser.add_argument("--start", type=Path, help="video network to go on from: its spatial part")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--sources", type=int, default=20000)
    parser.add_argument("--clips", type=int, default=900)
    parser.add_argument("--particles", type=int, default=0, help="clips whose noise says where particles are (clips)")
    parser.add_argument("--consistency", default="matched", choices=["none", "literal", "matched"])
    parser.add_argument("--consistency-weight", type=float, default=2.0)
    parser.add_argument("--terminal-share", type=float, default=0.35, help="of the clips' steps, at pure noise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stills-seed", type=int, default=1, help="of the stills")
    parser.add_argument("--clips-seed", type=int, default=2, help="of the clips")
    parser.add_argument("--keep-temporal", action="store_true", help="go on with --start's temporal layers (clips)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    schedule = Schedule.from_config(SCHEDULER)
    encode, embed = encoders(args.vae, args.clip, args.tokenizer, args.device)

    def pictures(seed: int, sources: int) -> np.ndarray:
        count = max(400, sources // 2)
        return draw_stills(args.data / f"stills-{seed}-{count}.npy", seed, count)

    # Latents and texts of another encoder are made anew.
    made_by = hash_of(args.vae, args.clip)

    def stills_cache(seed: int, sources: int, name: str) -> Latents:
        stills = pictures(seed, sources)
        return encode_triplets(
            args.data / name, still_triplets(stills, seed, sources, 3), encode, embed, sources, sources * 3, made_by
        )

    def clips_cache(seed: int, clips: int, name: str) -> Latents:
        return encode_triplets(
            args.data / name, clip_triplets(seed, clips, 3, 3, FRAMES), encode, embed, clips * 3, clips * 9, made_by
        )

    def particles_cache(seed: int, clips: int) -> ParticleClips:
        folder = args.data / f"latents-particles-{seed}-{clips}"
        made = particle_triplets(seed, clips, 2, FRAMES)
        count = clips * 2 * len(operations.FALLS)
        latents = encode_triplets(folder, made, encode, embed, clips * 2, count, made_by)
        if not (folder / "marks.npy").exists():
            marks = [
                particle_marks(name, FRAMES, CROP, 256.0, *falling(seed, source, name))
                for source, _, _, name in latents.pairs
            ]
            np.save(folder / "marks.npy", np.stack(marks))
        return ParticleClips(latents, np.load(folder / "marks.npy", mmap_mode="r"))

    if args.stage == "cache-stills":
        stills_cache(args.stills_seed, args.sources, f"latents-stills-{args.stills_seed}-{args.sources}")
        stills_cache(99, 200, "latents-stills-held")
        return
    if args.stage == "cache-clips":
        clips_cache(args.clips_seed, args.clips, f"latents-clips-{args.clips_seed}-{args.clips}")
        clips_cache(99, 40, "latents-clips-held")
        return
    if args.stage == "cache-particles":
        particles_cache(args.clips_seed, args.particles)
        return

    from diffusers import UNet2DConditionModel

    from vedit.nets.video_unet import Temporal, VideoUNet, inflate

    # Attention where motion is seen; at the coarsest level, where a frame has a few positions, convolutions do.
    temporal = Temporal(motion_layers=(1, 1, 1, 0), motion_heads=4, double_attention=False, convolution_layers=1)
    gains = channel_weight(args.vae, pictures(99, 200))
    print("channel weights", [round(float(g), 2) for g in gains], flush=True)
    stills = stills_cache(args.stills_seed, args.sources, f"latents-stills-{args.stills_seed}-{args.sources}")
    particles = None
    if args.particles:
        # Particles that the noise knows nothing of would teach their mean, a haze.
        particles, stills = particles_cache(args.clips_seed, args.particles), stills.without(operations.FALLS)
    torch.manual_seed(args.seed)
    network: nn.Module
    if args.stage == "stills":
        latents, held, count = stills, stills_cache(99, 200, "latents-stills-held"), 96
        settings = Settings(
            steps=args.steps or 10000,
            batch=args.batch or 24,
            frames=1,
            rate=args.rate or 1e-3,
            consistency="none",
            seed=args.seed,
        )
        network = OneFrame(UNet2DConditionModel(**SPATIAL) if args.start is None else spatial_part(args.start))
    else:
        latents = clips_cache(args.clips_seed, args.clips, f"latents-clips-{args.clips_seed}-{args.clips}")
        latents = latents if particles is None else latents.without(operations.FALLS)
        held, count = clips_cache(99, 40, "latents-clips-held"), 40
        settings = Settings(
            steps=args.steps or 8000,
            batch=args.batch or 2,
            frames=FRAMES,
            rate=args.rate or 8e-4,
            spatial_rate=0.6,
            one_frame_share=0.4,
            half_share=0.3,
            still_batch=24,
            terminal_share=args.terminal_share,
            common_share=0.5,
            particle_share=0.5 if particles is not None else 0.0,
            consistency=args.consistency,
            consistency_weight=args.consistency_weight,
            seed=args.seed,
        )
        network = (
            VideoUNet.load(args.start) if args.keep_temporal else inflate(spatial_part(args.start), temporal)
        ).float()
    average = fit(
        args.out,
        network,
        schedule,
        latents,
        settings,
        device=args.device,
        resume=args.resume,
        check=checker(held, schedule, count),
        channel_weight=gains,
        stills=stills if args.stage == "clips" else None,
        particles=particles,
        identity={
            "encoders": made_by, "began": None if args.start is None else hash_of(args.start),
            "data": [args.sources, args.stills_seed, args.clips, args.clips_seed, args.particles],
        },
    )  # fmt: skip
    final = averaged(network, average)
    if isinstance(final, OneFrame):  # without temporal layers: what edits every frame alike. The clips put them in.
        final = inflate(cast(UNet2DConditionModel, final.unet), Temporal(motion_layers=0, convolution_layers=0))
    assert isinstance(final, VideoUNet)
    final.save(args.out / "unet", torch.bfloat16)


if __name__ == "__main__":
    main()
