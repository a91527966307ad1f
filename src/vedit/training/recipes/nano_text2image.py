"""nano's text-to-image model: captioned pictures of the world, in the U-Net of the instruct model.

    python -m vedit.training.recipes.nano_text2image cache
    python -m vedit.training.recipes.nano_text2image train --start runs/clips/unet --out runs/text2image

(``--vae``, ``--clip`` and ``--tokenizer`` say where the other parts are, if not in ``runs``.) The pictures are frames
of scenes and crops of them, as they are or after one exact operation (weather, time of day, style, tone); the caption
names what a picture really shows, since a thing that a crop has cut away is not named. Latents are encoded once;
captions are put into words anew at every step.

The schedule is Stable Diffusion's own, with ε-prediction: inversion needs levels that remember the source. The loss is
weighted by min-SNR-γ (Hang et al. 2023, eq. 8) and one caption in ten is left out, for classifier-free guidance. The
paper's γ of 5 leaves the least noisy levels without a part in a short training: pictures came out with a grid of one
dot a latent, which nothing took away at the end. So γ is 50.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from vedit.diffusion.schedule import Schedule, Step
from vedit.errors import InputError
from vedit.training import common
from vedit.training.common import BEGAN, Average, Descent, Run, autocast, averaged, sha256, step_rng, torch_rng
from vedit.training.latents import Encode
from vedit.training.nano import Rows, coder, options, write_scheduler
from vedit.training.recipes.nano_instruct import LEVELS, SPATIAL, spatial_part
from vedit.world import operations, phrasings
from vedit.world.scene import PLACES, Rendered, Scene, caption, draw_scene, render

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

Embed = Callable[[list[str]], Tensor]

SCHEDULER = {
    **LEVELS,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}
LAYOUT: dict[str, Any] = SPATIAL | {"in_channels": SPATIAL["out_channels"]}
SIZE, CROP = 256, 128  # pixels of a scene, and of a crop of it
SEEN = 0.35  # share of a thing's pixels that a crop must show for its caption to name it
GONE = 0.04  # share up to which a thing counts as cut away; crops between the two are not used
CHANGED = [name for name in operations.OPERATIONS if name != "nothing"]
OFTEN = np.array([0.3 if name.startswith("tint-") else 1.0 for name in CHANGED])  # there are many tints
SHOWN = (  # prompts of the picture grid
    "a red ball rolls over green grass",
    "a red ball rolls over snow",
    "a blue star moves over sand",
    "a watercolour painting of a yellow square over green grass",
    "a green ball over a grey road at night",
    "a pencil sketch of a red heart over orange dunes",
    "a pink diamond moves over the sea in the rain",
    "a pattern of colourful shapes",
)
_VERBS = ("rolls", "moves", "slides", "drifts", "travels", "is moving", "is")
_FRAMED = ("a video of {}", "a picture of {}", "footage of {}", "a frame with {}", "{}, a video", "a scene: {}")


@dataclass(frozen=True)
class Settings(common.Settings):
    """Of a training. ``whole_share`` of the steps see whole frames (``whole_batch`` of them), the others crops.

    ``min_snr``: γ of the loss weight; 0 weights all levels alike. ``drop_text``: share of captions left out.
    """

    steps: int = 12000
    batch: int = 24
    rate: float = 8e-4
    whole_batch: int = 6
    whole_share: float = 0.25
    drop_text: float = 0.1
    min_snr: float = 50.0


# --- pictures and captions --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """``pixels`` (H, W, 3) in [0, 1], what they show in words, and the operation done to them."""

    pixels: np.ndarray
    content: str
    operation: str


def pictures(seed: int, scenes: int, side: int, each: int = 3) -> Iterator[Picture]:
    """``each`` pictures of every scene, of ``side`` pixels: one as it is, the others after one operation each."""
    for index in range(scenes):
        rng = np.random.default_rng([seed, 80, side, index])
        # Named places are what prompts are about; the texture-rich ones keep detail alive.
        place = "leaves" if rng.random() < 0.2 else str(rng.choice(PLACES))
        scene = draw_scene(seed * 1_000_000 + 300_000 + index, SIZE, SIZE, frames=1, place=place)
        drawn = render(scene)
        for number in range(each):
            found = view(scene, drawn, side, rng)
            if found is None:
                continue
            pixels, content = found
            name = "nothing" if number == 0 else str(rng.choice(CHANGED, p=OFTEN / OFTEN.sum()))
            if name != "nothing":
                seeds = {"seed": int(rng.integers(2**31)), "start": int(rng.integers(1000))}
                pixels = operations.apply(name, pixels[None], height=SIZE, **seeds)[0]
            yield Picture(pixels, content, name)


def view(scene: Scene, drawn: Rendered, side: int, rng: np.random.Generator) -> tuple[np.ndarray, str] | None:
    """A random square of a drawn scene and the caption of what is in it; None where it would be untrue."""
    y, x = (int(v) * 8 for v in rng.integers(0, (SIZE - side) // 8 + 1, 2))
    if side < SIZE and scene.things and rng.random() < 0.7:  # most crops are of a thing
        centre = drawn.tracks[0, int(rng.integers(len(scene.things)))]
        y, x = (
            int(np.clip(round((v - side / 2 + rng.uniform(-32, 32)) / 8) * 8, 0, SIZE - side)) for v in reversed(centre)
        )
    things = []
    for index, thing in enumerate(scene.things):
        mask = drawn.masks[0, index]
        inside = float(mask[y : y + side, x : x + side].sum())
        # Things hidden by others or outside of the scene are no part of the picture either.
        share = inside / max(1.0, float(mask.sum()))
        if inside and GONE < share < SEEN:
            return None
        things.append(replace(thing, visible=share >= SEEN and inside > 24))
    if scene.place != "leaves" and not any(thing.visible for thing in things) and y + side < 0.8 * SIZE:
        return None  # hardly more than sky, and the caption would name the ground
    content = caption(replace(scene, things=tuple(things)))
    return np.ascontiguousarray(drawn.frames[0, y : y + side, x : x + side]), content


def put_into_words(content: str, operation: str, rng: np.random.Generator) -> str:
    """A caption of a picture: "a blue star drifts over sand", "an oil painting of a blue star over sand"."""
    for verb in ("moves", "move"):
        before, found, after = content.partition(f" {verb} ")
        if found:
            said = str(rng.choice(_VERBS)) if verb == "moves" else verb
            content = f"{before} {after}" if rng.random() < 0.3 else f"{before} {said} {after}"
            break
    if operation != "nothing":
        return phrasings.describe(operation, rng, content)
    return str(rng.choice(_FRAMED)).format(content) if rng.random() < 0.2 else content


# --- latents ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Captioned:
    """Opened latents (N, C, h, w) with what each shows and the operation done to it."""

    latents: np.ndarray
    rows: list[tuple[str, str]]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, list[str]]:
        """Latents (B, C, h, w) float32 and a caption for each."""
        chosen = np.sort(rng.choice(len(self.rows), size=min(size, len(self.rows)), replace=False))
        texts = [put_into_words(self.rows[i][0], self.rows[i][1], rng) for i in chosen]
        return torch.from_numpy(self.latents[chosen].astype(np.float32)), texts


def encode_pictures(folder: Path, drawn: Iterable[Picture], encode: Encode, count: int) -> Captioned:
    """Encode at most ``count`` pictures into ``folder`` unless it holds them already.

    folder/latents.npy (N, C, h, w) float16, folder/index.json [[content, operation], ...]. Raises ``InputError``
    without any picture.
    """
    index = folder / "index.json"
    if not index.exists():
        stored = Rows(folder, count)
        rows: list[tuple[str, str]] = []
        group: list[Picture] = []

        def store() -> None:
            pixels = np.stack([picture.pixels for picture in group]).astype(np.float32)
            latents = encode(torch.from_numpy(pixels).permute(0, 3, 1, 2) * 2 - 1).to(torch.float16).numpy()
            stored.put(len(rows), latents=latents)
            rows.extend((picture.content, picture.operation) for picture in group)
            group.clear()

        for picture in drawn:
            group.append(picture)
            if len(rows) + len(group) == count:
                break
            if len(group) == 32:
                store()
                if len(rows) % 3200 == 0:
                    print(f"encoded {len(rows)} pictures", flush=True)
        if group:
            store()
        if not rows:
            raise InputError(f"{folder}: there is no picture to train on")
        stored.finish(rows)
    found = [(str(content), str(name)) for content, name in json.loads(index.read_text())]
    return Captioned(np.load(folder / "latents.npy", mmap_mode="r"), found)


# --- training ---------------------------------------------------------------------------------------------------------


def narrowed(unet: UNet2DConditionModel, channels: int) -> UNet2DConditionModel:
    """The network with the first ``channels`` of its input alone: those of the noisy latents. Changes it in place."""
    old = unet.conv_in
    new = nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding)  # type: ignore[arg-type]
    with torch.no_grad():
        new.weight.copy_(old.weight[:, :channels])
        assert new.bias is not None
        assert old.bias is not None
        new.bias.copy_(old.bias)
    unet.conv_in = new.to(old.weight.device, old.weight.dtype)
    unet.register_to_config(in_channels=channels)
    return unet


def beginning(folder: Path, channels: int) -> UNet2DConditionModel:
    """What a training goes on from: an earlier one's U-Net, or the spatial part of the instruct model's."""
    from vedit import weights

    if json.loads((folder / "config.json").read_text())["_class_name"] == "UNet2DConditionModel":
        return weights.load_unet2d(folder, torch.float32)
    return narrowed(spatial_part(folder), channels)


def loss_weight(schedule: Schedule, timestep: Tensor, gamma: float) -> Tensor:
    """Of the ε-loss, of the timestep's shape: min-SNR-γ, min(SNR, γ)/SNR (none for γ = 0), times √((SNR + 1)/SNR).

    The second factor alone makes the geometric mean of the losses on ε and on v. With the ε-loss as it is, the noisiest
    levels, where captions decide what a picture shows, have next to no part in it, and a short training leaves them
    unlearnt.
    """
    snr = schedule.snr(timestep)
    clipped = torch.ones_like(snr) if not gamma else snr.clamp(max=gamma) / snr
    return clipped * ((snr + 1) / snr).sqrt()


def denoising_loss(
    network: Callable[..., Any], schedule: Schedule, clean: Tensor, text: Tensor, empty: Tensor, settings: Settings,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Of latents (B, C, h, w) with texts (B, L, D); ``empty`` (1, L, D) stands for a caption that is left out."""
    size, device = len(clean), clean.device
    timestep = torch.randint(0, len(schedule), (size,), generator=generator)
    noise = torch.randn(clean.shape, generator=generator).to(device)
    left_out = (torch.rand(size, generator=generator) < settings.drop_text).to(device)
    text = torch.where(left_out[:, None, None], empty.expand_as(text), text)
    noisy = schedule.add_noise(clean, noise, timestep)
    output = network(noisy, timestep.to(device), text, return_dict=False)[0].float()
    squared = (output - schedule.target(clean, noise, timestep)).square().mean(dim=(1, 2, 3))
    return (loss_weight(schedule, timestep, settings.min_snr).to(squared) * squared).mean()


def fit(
    out: Path,
    network: nn.Module,
    schedule: Schedule,
    crops: Captioned,
    whole: Captioned,
    embed: Embed,
    settings: Settings,
    *,
    device: str = "cpu",
    resume: bool = False,
    check: Callable[[nn.Module, int], dict[str, float]] | None = None,
    began: str | None = None,
) -> Average:
    """The training loop: checkpoints in ``out``, the averaged weights returned. ``check`` runs at checkpoints.

    ``began``: the hash of the weights that ``network`` has, where they are those of an earlier training.
    ``embed``: texts to last hidden states (N, L, D) float32 on ``device``.
    """
    identity = {"recipe": "nano_text2image", **asdict(settings), "pictures": [len(crops.rows), len(whole.rows)]}
    run = Run(out, identity if began is None else identity | {BEGAN: began}, resume)
    network.to(device).train()
    descent = Descent(run, network, [(1.0, network.parameters())], settings, check)
    empty = embed([""])

    def make(step: int) -> tuple[Tensor, list[str]]:
        rng = step_rng(settings.seed, step, 31)
        if rng.random() < settings.whole_share:
            return whole.batch(rng, settings.whole_batch)
        return crops.batch(rng, settings.batch)

    for step, (clean, texts) in descent.over(make):
        text = embed(texts)
        with autocast(device):
            loss = denoising_loss(
                network, schedule, clean.to(device), text, empty, settings, torch_rng(settings.seed, step, 32)
            )
        descent.take(step, loss)
    return descent.average


def checker(held: Captioned, schedule: Schedule, embed: Embed, grid: Callable[[nn.Module, int], None] | None = None):
    """A check on pictures kept out of training: the loss at three levels, with the caption and without.

    What a caption lowers at the noisiest of them is what the model knows of words. ``grid`` draws pictures.
    """
    clean, texts = held.batch(np.random.default_rng(9), 64)
    states, empty = embed(texts), embed([""])
    clean = clean.to(states.device)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(5)).to(clean)

    @torch.no_grad()
    def check(network: nn.Module, step: int) -> dict[str, float]:
        figures = {}
        for level in (200, 600, 950):
            timestep = torch.full((len(clean),), level)
            noisy = schedule.add_noise(clean, noise, timestep)
            for name, text in (("said", states), ("empty", empty.expand_as(states))):
                with autocast(clean.device):
                    output = network(noisy, timestep.to(clean.device), text, return_dict=False)[0].float()
                figures[f"{name}_{level}"] = float((output - noise).square().mean())
        if grid is not None:
            grid(network, step)
        return figures

    return check


@torch.no_grad()
def draw_grid(
    network: nn.Module, schedule: Schedule, embed: Embed, decode: Callable[[Tensor], Tensor], picture: Path,
    channels: int, size: int = SIZE // 8, steps: int = 25, scale: float = 5.0,
) -> None:  # fmt: skip
    """Pictures of :data:`SHOWN` in two rows, as a PNG. ``decode``: latents to (N, 3, H, W) in [-1, 1]."""
    import cv2

    from vedit.diffusion import guidance
    from vedit.diffusion.sampling import ddim

    texts = {guidance.FULL: embed(list(SHOWN)), guidance.UNCOND: embed([""] * len(SHOWN))}
    device = texts[guidance.FULL].device
    noise = torch.randn(len(SHOWN), channels, size, size, generator=torch.Generator().manual_seed(3)).to(device)

    def denoise(z: Tensor, step: Step) -> Tensor:
        def evaluate(branch: str) -> Tensor:
            timestep = torch.full((len(z),), step.timestep, device=device)
            with autocast(device):
                return network(z, timestep, texts[branch], return_dict=False)[0].float()

        return schedule.to_clean(guidance.text(evaluate, scale)[0], z, step.timestep)

    drawn = decode(ddim(denoise, noise, schedule, steps)).clamp(-1, 1).cpu()
    pixels = ((drawn + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    half = len(pixels) // 2
    rows = [np.concatenate(list(part), axis=1) for part in (pixels[:half], pixels[half:])]
    picture.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(picture), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


def embedder(clip: Path, tokenizer: Path, device: str) -> Embed:
    """Texts to last hidden states (N, L, D) float32 on ``device``, from component folders."""
    from vedit import weights
    from vedit.nets.text import TextEncoder

    words = TextEncoder(weights.load_clip(clip), weights.load_tokenizer(tokenizer)).to(device)

    @torch.no_grad()
    def embed(texts: list[str]) -> Tensor:
        return words(texts).float()

    return embed


def main() -> None:
    """Command line of the recipe."""
    parser = options(__doc__, Settings, "runs/text2image")
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer"))
    parser.add_argument("--start", type=Path, help="U-Net to go on from: an earlier one, or the instruct model's")
    parser.add_argument("--min-snr", type=float, default=Settings.min_snr, help="γ of the loss weight; 0: none")
    parser.add_argument("--scenes", type=int, default=12000, help="for the crops; a quarter as many for whole frames")
    args = parser.parse_args()

    from diffusers import UNet2DConditionModel

    encode, decode = coder(args.vae, args.device)

    def cache(seed: int, scenes: int, side: int) -> Captioned:
        folder = args.data / f"pictures-{seed}-{scenes}-{side}"
        return encode_pictures(folder, pictures(seed, scenes, side), encode, 3 * scenes)

    crops, whole = cache(args.seed, args.scenes, CROP), cache(args.seed, max(1, args.scenes // 4), SIZE)
    held = cache(99, 60, CROP)
    if args.stage == "cache":
        return
    schedule = Schedule.from_config(SCHEDULER)
    embed = embedder(args.clip, args.tokenizer, args.device)
    torch.manual_seed(args.seed)
    channels = int(LAYOUT["in_channels"])
    network = UNet2DConditionModel(**LAYOUT) if args.start is None else beginning(args.start, channels)

    def grid(trained: nn.Module, step: int) -> None:
        draw_grid(trained, schedule, embed, decode, args.out / "grids" / f"{step:06d}.png", channels)

    settings = Settings(
        steps=args.steps, batch=args.batch, rate=args.rate, seed=args.seed, min_snr=args.min_snr
    )  # fmt: skip
    earlier = [] if args.start is None else sorted(args.start.glob("*.safetensors"))
    average = fit(
        args.out, network.float(), schedule, crops, whole, embed, settings,
        device=args.device, resume=args.resume, check=checker(held, schedule, embed, grid),
        began=sha256(earlier[0]) if earlier else None,
    )  # fmt: skip
    final: Any = averaged(network, average)
    final.to("cpu", torch.bfloat16).save_pretrained(args.out / "unet")
    write_scheduler(args.out, SCHEDULER)


if __name__ == "__main__":
    main()
