"""Thin defects: scratch, crack, fibre."""

import numpy as np

from inctrl.data.defects.shading import lean, mix, toned
from inctrl.data.defects.shapes import count_points, drift, path, stroke
from inctrl.data.defects.site import Floats, Site


def scratch(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """One to three nearly straight lines of changing width, each with a burr on one side."""
    length = 0.9 * min(site.shape)
    width = max(1.2, site.scale * rng.uniform(0.002, 0.009))
    count = count_points(length, width)
    bend = rng.uniform(0.05, 0.5) * drift(count, 4, rng)
    points = path(rng.uniform(0, 2 * np.pi) + bend, length, site.shape)
    across = np.array([1, -1], dtype=np.float32) * np.gradient(points, axis=0)[:, ::-1]
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-6
    core, burr = np.zeros(site.shape, np.float32), np.zeros(site.shape, np.float32)
    for line in range(rng.choice([1, 1, 1, 2, 3])):
        begin, end = np.sort(rng.choice(count, 2, replace=False)) if line else (0, count)
        own = points + across * (line * width * rng.uniform(2, 5))
        taper = np.sin(np.linspace(0, np.pi, count)) ** 0.4
        widths = np.maximum(width * taper * (1 + 0.5 * drift(count, 9, rng)), 0.4)
        ink = np.clip(0.85 + 0.4 * drift(count, 12, rng), 0.3, 1)
        own, widths, ink = own[begin:end], widths[begin:end], ink[begin:end]
        if len(own):
            core = np.maximum(core, stroke(site.shape, own, widths, ink))
            edge = own + across[begin:end] * max(1.0, width * 0.7)
            burr = np.maximum(burr, stroke(site.shape, edge, widths * 0.7, ink))
    sign = lean(site.rgb, core, rng)
    light = sign * contrast * (core - rng.uniform(0, 0.6) * burr * (1 - core))
    return site.rgb + light[..., None] * toned(1, rng, 0.15)


def crack(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A jagged dark line that branches, widest in the middle, with a faint light lip."""
    length = 0.9 * min(site.shape)
    width = max(1.2, site.scale * rng.uniform(0.002, 0.008))
    heading = rng.uniform(0, 2 * np.pi)
    trunk = _jagged(heading, length, width, site.shape, rng)
    body = np.linspace(-1, 1, len(trunk))
    widths = width * (1 - 0.75 * body**2) * (1 + 0.4 * drift(len(trunk), 15, rng))
    lines = [(trunk, widths.astype(np.float32))]
    for _ in range(rng.integers(1, 6)):
        parent, thick = lines[rng.integers(len(lines))]
        at = rng.integers(len(parent) // 8, max(len(parent) * 7 // 8, len(parent) // 8 + 1))
        turn = rng.choice([-1, 1]) * rng.uniform(0.4, 1.1)
        twig = _jagged(heading + turn, length * rng.uniform(0.12, 0.4), width, site.shape, rng)
        twig = twig - twig[0] + parent[at]
        fading = np.linspace(0.8, 0.3, len(twig)) * thick[at]
        lines.append((twig, fading.astype(np.float32)))
    points = np.concatenate([line for line, _ in lines])
    widths = np.maximum(np.concatenate([thick for _, thick in lines]), 0.5)
    dark = stroke(site.shape, points, widths)
    lip = stroke(site.shape, points + max(1.0, width / 2), widths) * (1 - dark)
    # On black nothing gets darker; there a crack is seen by the light in it.
    sign = -1.0 if site.rgb.mean() > 0.12 else 1.0
    change = sign * contrast * (1.2 * dark - rng.uniform(0, 0.35) * lip)
    return site.rgb + change[..., None]


def fibre(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A curled hair of constant width lying on the surface, with its shadow beside it."""
    extent = 0.8 * min(site.shape)
    length = extent * rng.uniform(1, 2.2)
    width = max(1.1, site.scale * rng.uniform(0.002, 0.006))
    count = count_points(length, width)
    curl = np.cumsum(drift(count, int(rng.integers(4, 9)), rng)) / count
    points = path(rng.uniform(0, 2 * np.pi) + rng.uniform(4, 14) * curl, length, site.shape)
    middle = np.array(site.shape, dtype=np.float32) / 2
    over = np.abs(points - middle).max() / (extent / 2)
    points = middle + (points - middle) / max(float(over), 1.0)
    widths = np.full(count, width, dtype=np.float32)
    hair = stroke(site.shape, points, widths)
    aside = rng.uniform(1, 2.5) * width * rng.choice([-1, 1], 2)
    shadow = stroke(site.shape, points + aside.astype(np.float32), widths * 1.6)
    shaded = site.rgb * (1 - 0.35 * min(contrast, 1) * shadow)[..., None]
    sign = lean(site.rgb, hair, rng)
    level = float(np.clip(site.rgb.mean() + sign * contrast * 1.3, 0, 1))
    return mix(shaded, toned(level, rng, 0.3 * min(contrast, 1)), hair * 0.92)


def _jagged(
    heading: float, length: float, width: float, shape: tuple[int, int], rng: np.random.Generator
) -> Floats:
    """A walk of short straight pieces, each with its own heading, that keeps its direction."""
    count = count_points(length * 1.2, width)
    pieces = int(np.clip(length / max(3.0, width * 2), 3, 60))
    coarse = heading + rng.normal(0, 0.55, pieces) + 0.4 * drift(pieces, 3, rng)
    kinks = np.sort(rng.integers(0, pieces, count))
    return path(coarse[kinks].astype(np.float32), length, shape)
