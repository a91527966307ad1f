"""Scenes of the procedural world: layers that move by affine maps, so masks, tracks, flow and depth order are exact.

A :class:`Scene` is a description, reproducible from its seed. Every part draws from a sub-seed of its own, so a scene
with one attribute changed (``dataclasses.replace``) is the same scene in everything else: that is what makes exact
object edits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from vedit.world.palette import COLOURS, named_colour, natural_palette
from vedit.world.texture import dead_leaves, fractal_noise, pattern, strokes

SHAPES = ("ball", "square", "triangle", "star", "heart", "ring", "diamond", "cross")
PLACES = ("meadow", "beach", "desert", "sea", "road", "snowfield", "mountains", "forest", "room")
_GROUNDS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "meadow": ("green grass", (0.28, 0.50, 0.16)),
    "beach": ("sand", (0.82, 0.72, 0.50)),
    "desert": ("orange dunes", (0.80, 0.54, 0.28)),
    "sea": ("the sea", (0.10, 0.36, 0.52)),
    "road": ("a grey road", (0.36, 0.36, 0.38)),
    "snowfield": ("snow", (0.90, 0.93, 0.97)),
    "mountains": ("rocky ground", (0.42, 0.38, 0.34)),
    "forest": ("a forest floor", (0.30, 0.26, 0.14)),
    "room": ("a wooden floor", (0.52, 0.34, 0.20)),
}


@dataclass(frozen=True)
class Thing:
    """A moving object. Lengths are shares of the frame height, angles radians, times frames.

    ``velocity`` is that of the middle of the clip and changes by ``bend`` every frame. ``textured``: patterned all over
    as a texture-rich scene is, instead of in its colour.
    """

    shape: str
    colour: str
    size: float
    start: tuple[float, float]
    velocity: tuple[float, float]
    spin: float
    wobble: tuple[float, float]
    seed: int
    visible: bool = True
    bend: tuple[float, float] = (0.0, 0.0)
    textured: bool = False


@dataclass(frozen=True)
class Scene:
    """What a clip shows. ``place``: ``"leaves"`` for a texture-rich scene without a name, or one of :data:`PLACES`."""

    seed: int
    height: int
    width: int
    frames: int
    place: str
    things: tuple[Thing, ...]
    pan: tuple[float, float]
    zoom: float
    shake: float
    noise: float


@dataclass(frozen=True)
class Rendered:
    """A drawn clip and everything that is known about it.

    ``frames`` float32 (T, H, W, 3) in [0, 1]; ``masks`` bool (T, N, H, W), visible pixels of each thing; ``flow``
    float32 (T-1, H, W, 2), displacement (x, y) in pixels from frame t to t+1; ``layers`` uint8 (T, H, W), 0 =
    background, n + 1 = thing n (depth order: larger is nearer); ``tracks`` float32 (T, N, 2), centres of the things
    (x, y) in pixels; ``caption`` text.
    """

    frames: np.ndarray
    masks: np.ndarray
    flow: np.ndarray
    layers: np.ndarray
    tracks: np.ndarray
    caption: str


def draw_scene(
    seed: int,
    height: int = 256,
    width: int = 256,
    frames: int = 16,
    place: str | None = None,
    things: int | None = None,
) -> Scene:
    """A random scene from ``seed``. Without ``place`` 70 % are texture-rich ("leaves")."""
    rng = np.random.default_rng([seed, 0])
    if place is None:
        place = "leaves" if rng.random() < 0.7 else str(rng.choice(PLACES))
    count = int(rng.integers(0, 4) if place == "leaves" else rng.integers(1, 3)) if things is None else things
    aspect = width / height
    made = []
    colours = rng.permutation(list(COLOURS))
    for index in range(count):
        start = (float(rng.uniform(0.15, 0.85) * aspect), float(rng.uniform(0.25, 0.8)))
        speed, heading = rng.gamma(2.0, 0.007), rng.uniform(0, 2 * np.pi)
        made.append(
            Thing(
                shape=str(rng.choice(SHAPES)),
                colour=str(colours[index % len(colours)]),
                size=float(rng.uniform(0.09, 0.24)),
                start=start,
                velocity=(float(speed * np.cos(heading)), float(speed * np.sin(heading))),
                spin=float(rng.normal(0, 0.05)),
                wobble=(float(rng.uniform(0, 0.02)), float(rng.uniform(0.1, 0.6))),
                seed=int(rng.integers(2**31)),
            )
        )
    moving = rng.random() < 0.75
    pan = tuple(float(v) for v in rng.normal(0, 0.006, 2) * moving)
    return Scene(
        seed=seed,
        height=height,
        width=width,
        frames=frames,
        place=place,
        things=tuple(made),
        pan=(pan[0], pan[1]),
        zoom=float(rng.normal(0, 0.004) * (rng.random() < 0.4)),
        shake=float(rng.gamma(1.0, 0.0015) * (rng.random() < 0.4)),
        noise=float(rng.gamma(1.5, 0.006)),
    )


def caption(scene: Scene) -> str:
    """One sentence that says what the scene shows."""
    colours = ["colourful" if thing.textured else thing.colour for thing in scene.things]
    shown = [
        f"{'an' if colour == 'orange' else 'a'} {colour} {thing.shape}"
        for thing, colour in zip(scene.things, colours, strict=True)
        if thing.visible
    ]
    if scene.place == "leaves":
        return " and ".join(shown) + " over colourful shapes" if shown else "a pattern of colourful shapes"
    ground = _GROUNDS[scene.place][0]
    where = "in a room" if scene.place == "room" else f"over {ground}"
    verb = "moves" if len(shown) == 1 else "move"
    return f"{' and '.join(shown)} {verb} {where}" if shown else ground


# --- layers ---------------------------------------------------------------------------------------------------------


def _place_background(rng: np.random.Generator, place: str, height: int, width: int, unit: float) -> np.ndarray:
    """Sky above, ground below, with what stands between: ``(height, width, 3)`` in [0, 1]."""
    horizon = int(height * rng.uniform(0.3, 0.55))
    y = np.linspace(0, 1, max(horizon, 1), dtype=np.float32)[:, None, None]
    top = np.array([0.25, 0.45, 0.80]) * rng.uniform(0.6, 1.15)
    low = np.array([0.75, 0.85, 0.95]) * rng.uniform(0.75, 1.05)
    if place == "room":
        top = low = natural_palette(rng, 1)[0] * 0.4 + 0.45
    sky = (top * (1 - y) + low * y) * np.ones((1, width, 1), np.float32)
    picture = np.empty((height, width, 3), np.float32)
    picture[:horizon] = sky
    if place not in ("room", "desert") and rng.random() < 0.7:
        cloud = np.clip(
            fractal_noise(rng, max(horizon, 8), width, 1.2, 8)[:horizon] * 0.6 - rng.uniform(-0.2, 0.4), 0, 1
        )
        picture[:horizon] += cloud[..., None] * (0.98 - picture[:horizon])
    base = np.array(_GROUNDS[place][1], np.float32) * rng.uniform(0.8, 1.15) + rng.normal(0, 0.03, 3)
    rows, depth = height - horizon, np.linspace(0.35, 1.0, height - horizon, dtype=np.float32)[:, None]
    rough = fractal_noise(rng, rows, width, rng.uniform(0.3, 0.9), 2)
    swell = fractal_noise(rng, rows, width, 1.2, 8)
    picture[horizon:] = base * (1 + depth * (0.10 * rough + 0.14 * swell))[..., None]
    if place == "sea":
        waves = np.sin(np.arange(rows, dtype=np.float32)[:, None] / (0.6 + 6 * depth) + 2.5 * swell)
        picture[horizon:] += (0.10 * depth * waves)[..., None]
    if place in ("mountains", "meadow", "forest"):
        x = np.linspace(0, 1, width)
        for band in range(3):
            ridge = fractal_noise(rng, 8, width, 1.3, 4)[0] * 0.05 + 0.16 - 0.05 * band
            edge = np.clip(horizon - ridge * unit * (1.6 if place == "mountains" else 0.8), 0, height).astype(np.int32)
            colour = base * (0.55 + 0.18 * band) + np.array([0.10, 0.14, 0.22]) * (0.8 - 0.3 * band)
            outline = np.concatenate([np.stack([x * (width - 1), edge], 1), [[width - 1, horizon], [0, horizon]]])
            cv2.fillPoly(picture, [np.round(outline).astype(np.int32)], colour.tolist(), cv2.LINE_AA)
    if place in ("forest", "meadow"):
        for _ in range(int(rng.integers(2, 9) * (2 if place == "forest" else 1))):
            x0, foot = rng.uniform(0, width), horizon + rng.uniform(-0.02, 0.15) * unit
            tall = rng.uniform(0.12, 0.35) * unit
            trunk = tuple(float(v) for v in np.array([0.30, 0.20, 0.12]) * rng.uniform(0.7, 1.2))
            cv2.line(
                picture, (int(x0), int(foot)), (int(x0), int(foot - tall)), trunk, max(1, int(tall * 0.08)), cv2.LINE_AA
            )
            for _ in range(14):
                green = np.clip(np.array([0.16, 0.38, 0.12]) * np.exp(rng.normal(0, 0.3, 3)), 0, 1)
                centre = (int(x0 + rng.normal(0, 0.22) * tall), int(foot - tall * rng.uniform(0.6, 1.25)))
                cv2.circle(picture, centre, max(1, int(tall * rng.uniform(0.08, 0.2))), green.tolist(), -1, cv2.LINE_AA)
    if place == "road":
        for offset in np.arange(0, 1.2, 0.12):
            cv2.line(
                picture,
                (int(width * offset), (horizon + height) // 2),
                (int(width * (offset + 0.06)), (horizon + height) // 2),
                (0.9, 0.9, 0.85),
                max(1, int(0.012 * unit)),
                cv2.LINE_AA,
            )
    if place == "room":
        for column in range(0, width, max(4, int(0.12 * unit))):
            cv2.line(
                picture,
                (column, horizon),
                (int(width / 2 + (column - width / 2) * 2.2), height),
                (base * 0.6).tolist(),
                1,
                cv2.LINE_AA,
            )
    return np.clip(picture, 0, 1)


def _leaves_background(rng: np.random.Generator, height: int, width: int, unit: float) -> np.ndarray:
    """Dead leaves in the light of a photograph: patterns, strokes, uneven light, shallow focus, a tone curve."""
    picture = dead_leaves(rng, height, width, unit)
    if rng.random() < 0.25:  # smooth areas as wide as a sky or a wall
        mask = np.clip(fractal_noise(rng, height, width, 1.5, 16) * 3 + rng.uniform(-2, 2), 0, 1)[..., None]
        a, b = natural_palette(rng, 2)
        ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        picture = picture * (1 - mask) + mask * (a * (1 - ramp) + b * ramp)
    if rng.random() < 0.3:
        mask = (
            pattern(rng, height, width, unit)[..., None]
            * (fractal_noise(rng, height, width, 1.4, 16) > rng.uniform(0, 1.5))[..., None]
        )
        picture = picture * (1 - 0.7 * mask) + 0.7 * mask * natural_palette(rng, 1)[0]
    if rng.random() < 0.4:
        strokes(rng, picture, unit, int(rng.integers(20, 400)))
    light = np.exp(rng.uniform(0, 0.45) * fractal_noise(rng, height, width, 1.6, 32))[..., None]
    picture = picture * light
    if rng.random() < 0.5:  # shallow focus
        blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.006, 0.03) * unit)
        mask = np.clip(fractal_noise(rng, height, width, 1.6, 32) * 2 + rng.uniform(-1, 1), 0, 1)[..., None]
        picture = picture * (1 - mask) + blurred * mask
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.0) * unit / 256)
    picture = np.clip(picture, 0, 1) ** np.exp(rng.normal(0, 0.3))
    cast = 1 + rng.normal(0, 0.06, 3)
    low, high = rng.uniform(0, 0.15), rng.uniform(0.75, 1.0)
    return np.clip((low + (high - low) * picture) * cast, 0, 1).astype(np.float32)


def _shape_outline(shape: str) -> np.ndarray:
    """Unit polygon ``(n, 2)`` of a named shape (the ring's hole is cut when it is drawn)."""
    a = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    if shape in ("ball", "ring"):
        return np.stack([np.cos(a), np.sin(a)], 1)
    if shape == "square":
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.86
    if shape == "triangle":
        t = np.array([-90, 30, 150]) * np.pi / 180
        return np.stack([np.cos(t), np.sin(t)], 1)
    if shape == "star":
        t = np.linspace(0, 2 * np.pi, 10, endpoint=False) - np.pi / 2
        r = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
        return np.stack([r * np.cos(t), r * np.sin(t)], 1)
    if shape == "heart":
        x = 16 * np.sin(a) ** 3
        y = 13 * np.cos(a) - 5 * np.cos(2 * a) - 2 * np.cos(3 * a) - np.cos(4 * a)
        return np.stack([x, -y], 1) / 17
    if shape == "diamond":
        return np.array([[0, -1], [0.7, 0], [0, 1], [-0.7, 0]])
    if shape == "cross":
        k = 0.34
        return np.array(
            [[-k, -1], [k, -1], [k, -k], [1, -k], [1, k], [k, k], [k, 1], [-k, 1], [-k, k], [-1, k], [-1, -k], [-k, -k]]
        )
    raise KeyError(shape)


def _thing_patch(thing: Thing, unit: float) -> np.ndarray:
    """RGBA patch ``(n, n, 4)`` of a thing, colours not premultiplied, drawn at twice its size for smooth edges."""
    rng = np.random.default_rng([thing.seed, 7])
    radius = thing.size * unit
    n = int(np.ceil(2 * radius * 1.15)) * 2 + 8
    centre = (n - 1) / 2
    alpha = np.zeros((n, n), np.float32)
    outline = np.round((_shape_outline(thing.shape) * radius * 2 + centre) * 16).astype(np.int32)
    cv2.fillPoly(alpha, [outline], 1.0, cv2.LINE_AA, 4)
    if thing.shape == "ring":
        cv2.circle(alpha, (int(centre), int(centre)), int(radius * 1.05), 0.0, -1, cv2.LINE_AA)
    texture_rng = np.random.default_rng([thing.seed, 8])
    y, x = (np.mgrid[0:n, 0:n].astype(np.float32) - centre) / (2 * radius)
    shade = 1.0 + 0.35 * (-x - y) * texture_rng.uniform(0.3, 1.0) - 0.25 * (x**2 + y**2)
    shade += texture_rng.uniform(0.0, 0.08) * fractal_noise(texture_rng, n, n, 0.9, 4)
    if texture_rng.random() < 0.3:
        shade *= 1 - 0.35 * pattern(texture_rng, n, n, unit * 2)
    colour = dead_leaves(texture_rng, n, n, unit * 2) if thing.textured else named_colour(thing.colour, rng)
    patch = np.concatenate([np.clip(colour * shade[..., None], 0, 1), alpha[..., None]], 2)
    return patch.astype(np.float32)


def _camera(scene: Scene, canvas_size: tuple[int, int]) -> np.ndarray:
    """``(T, 2, 3)`` maps from canvas pixels to frame pixels; the pan is turned back where the canvas would end."""
    rng = np.random.default_rng([scene.seed, 2])
    t = np.arange(scene.frames)
    scale = np.exp(scene.zoom * (t - t.mean()))
    canvas_h, canvas_w = canvas_size
    shift = np.stack([scene.pan[0] * scene.height * (t - t.mean()), scene.pan[1] * scene.height * (t - t.mean())], 1)
    shift += np.cumsum(rng.normal(0, 1, (scene.frames, 2)), 0) * scene.shake * scene.height
    maps = np.zeros((scene.frames, 2, 3))
    for index in range(scene.frames):
        s = max(scale[index], scene.width / canvas_w * 1.001, scene.height / canvas_h * 1.001)
        slack = np.array([canvas_w * s - scene.width, canvas_h * s - scene.height]) / 2
        move = np.clip(shift[index], -slack, slack)
        offset = np.array([scene.width - canvas_w * s, scene.height - canvas_h * s]) / 2 + move
        maps[index] = [[s, 0, offset[0]], [0, s, offset[1]]]
    return maps


def _thing_maps(scene: Scene, thing: Thing, patch_size: int, camera: np.ndarray) -> np.ndarray:
    """``(T, 2, 3)`` maps from patch pixels to frame pixels; things move relative to the camera's pan."""
    unit, centre = scene.height, (patch_size - 1) / 2
    maps = np.zeros((scene.frames, 2, 3))
    for t in range(scene.frames):
        step = t - (scene.frames - 1) / 2
        angle = thing.spin * t
        s = 0.5 * camera[t, 0, 0] / camera[0, 0, 0]
        bob = thing.wobble[0] * np.sin(thing.wobble[1] * t)
        x = (thing.start[0] + thing.velocity[0] * step + 0.5 * thing.bend[0] * step**2) * unit
        y = (thing.start[1] + thing.velocity[1] * step + 0.5 * thing.bend[1] * step**2 + bob) * unit
        c, d = s * np.cos(angle), s * np.sin(angle)
        maps[t] = [[c, -d, x - c * centre + d * centre], [d, c, y - d * centre - c * centre]]
    return maps


def _invert(affine: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.invertAffineTransform(affine))


def _canvas_size(scene: Scene) -> tuple[int, int]:
    """Height and width of the background, which the camera looks at a part of."""
    travel = 1.0 if scene.frames == 1 else 1.3
    return int(np.ceil(scene.height * travel)), int(np.ceil(scene.width * travel))


def layer_motion(scene: Scene) -> np.ndarray:
    """Where a point of a layer in frame 0 is in frame t: (T, N + 1, 2, 3) maps of (x, y, 1) in pixels.

    Layers as in :class:`Rendered`: 0 is the background, n + 1 thing n.
    """
    camera = _camera(scene, _canvas_size(scene))
    layers = [camera, *(_thing_maps(scene, thing, 1, camera) for thing in scene.things)]
    moved = np.zeros((scene.frames, len(layers), 2, 3))
    for index, maps in enumerate(layers):
        back = np.vstack([_invert(maps[0]), [0.0, 0.0, 1.0]])
        moved[:, index] = maps @ back
    return moved


def render(scene: Scene) -> Rendered:
    """Draw a scene. Shapes as in :class:`Rendered`; the same scene gives the same pixels."""
    height, width, unit = scene.height, scene.width, float(scene.height)
    canvas_h, canvas_w = _canvas_size(scene)
    rng = np.random.default_rng([scene.seed, 1])
    if scene.place == "leaves":
        canvas = _leaves_background(rng, canvas_h, canvas_w, unit)
    else:
        canvas = _place_background(rng, scene.place, canvas_h, canvas_w, unit)
    camera = _camera(scene, (canvas_h, canvas_w))
    patches = [_thing_patch(thing, unit) for thing in scene.things]
    maps = [
        _thing_maps(scene, thing, patch.shape[0], camera) for thing, patch in zip(scene.things, patches, strict=True)
    ]

    frames = np.empty((scene.frames, height, width, 3), np.float32)
    layers = np.zeros((scene.frames, height, width), np.uint8)
    masks = np.zeros((scene.frames, len(scene.things), height, width), bool)
    tracks = np.zeros((scene.frames, len(scene.things), 2), np.float32)
    for t in range(scene.frames):
        picture = cv2.warpAffine(
            canvas, camera[t], (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        for index, (thing, patch) in enumerate(zip(scene.things, patches, strict=True)):
            centre = np.array([(patch.shape[0] - 1) / 2] * 2 + [1.0])
            tracks[t, index] = maps[index][t] @ centre
            if not thing.visible:
                continue
            warped = cv2.warpAffine(patch, maps[index][t], (width, height), flags=cv2.INTER_AREA)
            alpha = warped[..., 3:]
            picture = picture * (1 - alpha) + warped[..., :3] * alpha
            layers[t][alpha[..., 0] > 0.5] = index + 1
        frames[t] = picture
    for index in range(len(scene.things)):
        masks[:, index] = layers == index + 1

    flow = np.zeros((max(scene.frames - 1, 0), height, width, 2), np.float32)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)
    for t in range(scene.frames - 1):
        for layer in range(len(scene.things) + 1):
            layer_maps = camera if layer == 0 else maps[layer - 1]
            inverse = _invert(layer_maps[t])
            forward = layer_maps[t + 1]
            linear = forward[:, :2] @ inverse[:, :2]
            offset = forward[:, :2] @ inverse[:, 2] + forward[:, 2]
            chosen = layers[t] == layer
            flow[t][chosen] = (grid[chosen] @ linear.T + offset - grid[chosen]).astype(np.float32)

    if scene.noise > 0:  # sensor noise, fresh in every frame, slightly correlated as after demosaicing
        noise_rng = np.random.default_rng([scene.seed, 3])
        for t in range(scene.frames):
            grain = noise_rng.standard_normal((height, width, 3), dtype=np.float32)
            frames[t] += scene.noise * cv2.GaussianBlur(grain, (0, 0), 0.6) * 1.8
    return Rendered(np.clip(frames, 0, 1), masks, flow, layers, tracks, caption(scene))


# --- object edits ---------------------------------------------------------------------------------------------------


def recolour(scene: Scene, index: int, colour: str) -> Scene:
    """The same scene with thing ``index`` in another named colour."""
    return _with_thing(scene, index, replace(scene.things[index], colour=colour))


def reshape(scene: Scene, index: int, shape: str) -> Scene:
    """The same scene with thing ``index`` in another shape."""
    return _with_thing(scene, index, replace(scene.things[index], shape=shape))


def remove(scene: Scene, index: int) -> Scene:
    """The same scene without thing ``index``."""
    return _with_thing(scene, index, replace(scene.things[index], visible=False))


def _with_thing(scene: Scene, index: int, thing: Thing) -> Scene:
    things = list(scene.things)
    things[index] = thing
    return replace(scene, things=tuple(things))
