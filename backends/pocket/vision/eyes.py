"""Teaches CLIP to see before it is asked: every patch learns what it shows, with a passing head."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import CLIPVisionModel

from ..._phi3_vision.crops import Layout
from ..._phi3_vision.modeling import Phi3ImageEmbedding
from .drawing import COLOURS, DIGITS, PLACES, SHAPES, Scene

PATCH = 14
CELL = 2 * PATCH
"""Pixels of a side of what becomes one token: two by two patches."""
PIECE = 168
"""Side of a patchwork in pixels: half a crop, for a sixth of the work."""
FINE, COARSE = 8, 4
"""Points of a side of a cell, in the masks that the head draws of it and of its neighbours."""
KINDS = (*SHAPES, *DIGITS)
MOST = 4
"""Things in a picture."""
SHARPNESS = 1.5
"""How much a head begins by preferring its neighbour."""


class View(NamedTuple):
    """What some tokens show."""

    seen: Scene
    """Where and as large as they show it."""
    whole: Scene | None = None
    """The picture, if all of it is in view: then a place in it can be told."""


class PassingHead(nn.Module):
    """Reads from each picture token what kind and colour its thing has; thrown away afterwards."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.kind = nn.Linear(hidden, len(KINDS))
        self.colour = nn.Linear(hidden, len(COLOURS))
        self.covered = nn.Linear(hidden, 2)
        self.mask = nn.Linear(hidden, FINE**2 + (3 * COARSE) ** 2)
        self.place = nn.Linear(hidden, len(PLACES))
        self.count = nn.Linear(hidden, MOST)

    def loss(
        self, tokens: torch.Tensor, views: list[View]
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of the tokens (n, hidden) of these views, one after the other; shares right."""
        tokens = self.norm(tokens)
        labels = torch.from_numpy(np.concatenate([cells(view) for view in views]))
        masks = torch.from_numpy(np.concatenate([outlines(view.seen) for view in views]))
        kind, colour, covered, centre, place, count = labels.unbind(1)
        on, near = covered > 0, masks.amax(1) > 0
        kinds, colours = self.kind(tokens[on]), self.colour(tokens[on])
        marks = torch.stack([covered, centre], dim=1).float()
        loss = (
            2 * cross_entropy(kinds, kind[on])
            + cross_entropy(colours, colour[on])
            + 3 * binary_cross_entropy_with_logits(self.covered(tokens), marks)
            + 5 * binary_cross_entropy_with_logits(self.mask(tokens[near]), masks[near])
        )
        right = {
            "kind": _share(kinds.argmax(1) == kind[on]),
            "mask": _share((self.mask(tokens[near]) > 0) == (masks[near] > 0.5)),
            "colour": _share(colours.argmax(1) == colour[on]),
        }
        if (known := on & (place >= 0)).any():
            places, counts = self.place(tokens[known]), self.count(tokens[known])
            loss = loss + 2 * cross_entropy(places, place[known])
            loss = loss + cross_entropy(counts, count[known])
            right["place"] = _share(places.argmax(1) == place[known])
        return loss, right


def _share(right: torch.Tensor) -> float:
    return right.float().mean().item()


def cells(view: View) -> np.ndarray:
    """What each cell shows: (cells, 6) of kind, colour, covered or not, centre or not, and where
    its thing is and among how many less one; -1 where the whole picture is not in view."""
    scene, whole = view
    rows, columns = scene.height // CELL, scene.width // CELL
    found = np.zeros((rows, columns, 6), dtype=np.int64)
    found[..., 4:] = -1
    inked = _grid(scene.mask(), rows, columns) > 0.03
    down, across = np.indices((rows, columns)) * CELL + PATCH
    nearest = [np.hypot(down - thing.y, across - thing.x) / thing.size for thing in scene.things]
    owner = np.argmin(nearest, axis=0)
    for number, thing in enumerate(scene.things):
        mine = inked & (owner == number)
        found[mine, :3] = KINDS.index(thing.kind), COLOURS.index(thing.colour), 1
        middle = (min(int(thing.y / CELL), rows - 1), min(int(thing.x / CELL), columns - 1))
        found[middle][3] = 1
        if whole:
            found[mine, 4:] = PLACES.index(whole.place(whole.things[number])), len(whole.things) - 1
    return found.reshape(-1, 6)


def outlines(scene: Scene) -> np.ndarray:
    """What is on ground and what is not: each cell finely, and coarsely with its neighbours."""
    picture = scene.mask()
    rows, columns = scene.height // CELL, scene.width // CELL
    fine = _grid(picture, rows * FINE, columns * FINE)
    fine = fine.reshape(rows, FINE, columns, FINE).transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    coarse = np.pad(_grid(picture, rows * COARSE, columns * COARSE), COARSE)
    around = np.lib.stride_tricks.sliding_window_view(coarse, (3 * COARSE, 3 * COARSE))
    around = around[::COARSE, ::COARSE].reshape(rows * columns, -1)
    return np.concatenate([fine, around], axis=1)


def _grid(picture: Image.Image, rows: int, columns: int) -> np.ndarray:
    small = picture.resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / 255


def laid_out(scene: Scene, crops: int) -> Scene:
    """The scene where and as large as the model sees it in at most so many crops."""
    layout = Layout.of(scene.width, scene.height, crops)
    (width, height), (left, top) = layout.padded, layout.offset
    scale = layout.width / scene.width
    things = tuple(
        replace(thing, x=left + scale * thing.x, y=top + scale * thing.y, size=scale * thing.size)
        for thing in scene.things
    )
    return replace(scene, width=width, height=height, things=things)


def see_piece(
    embedding: Phi3ImageEmbedding, pixels: torch.Tensor, top: int, left: int
) -> torch.Tensor:
    """The tokens of pieces of pictures: (pieces, 3, PIECE, PIECE) to (pieces, 36, hidden).

    What `embed_image` does, for a part of a crop that begins at this patch.
    """
    tower: Any = embedding.img_processor
    side = PIECE // PATCH
    grid = tower.config.image_size // PATCH
    rows = torch.arange(top, top + side)[:, None] * grid
    places = 1 + (rows + torch.arange(left, left + side)).flatten()
    inner = tower.embeddings
    patches = inner.patch_embedding(pixels).flatten(2).transpose(1, 2)
    start = inner.class_embedding.expand(len(pixels), 1, -1)
    numbered = inner.position_embedding(torch.cat([torch.zeros(1, dtype=torch.long), places]))
    hidden = tower.pre_layrnorm(torch.cat([start, patches], dim=1) + numbered)
    for layer in tower.encoder.layers[:-1]:
        out = layer(hidden, attention_mask=None)
        hidden = out if isinstance(out, torch.Tensor) else out[0]
    half, channels = side // 2, hidden.shape[-1]
    tiles = hidden[:, 1:].view(-1, half, 2, half, 2, channels).transpose(2, 3)
    return embedding.img_projection(tiles.reshape(-1, half * half, 4 * channels))


@torch.no_grad()
def look_around(eyes: CLIPVisionModel) -> None:
    """Let each attention head begin by looking at one neighbouring patch, as a convolution does.

    From chance alone attention needs long to find out which patches are neighbours. So a part of
    each patch's vector starts as waves over its row and column, and the queries start as the same
    waves, moved on by a patch or two.
    """
    tower: Any = eyes  # whose modules are untyped
    hidden, heads = tower.config.hidden_size, tower.config.num_attention_heads
    size = hidden // heads
    speeds = torch.linspace(0.25, 2.6, size // 4)
    grid = tower.config.image_size // tower.config.patch_size
    waves = torch.cat(
        [trig(speeds * torch.arange(grid)[:, None]) for trig in (torch.sin, torch.cos)], 1
    )
    places = tower.embeddings.position_embedding.weight
    places[:, :size] = 0
    places[1:, :size] = torch.cat([waves.repeat_interleave(grid, 0), waves.repeat(grid, 1)], dim=1)
    seen = tower.embeddings.patch_embedding.weight
    seen[:size] = 0
    seen[size:] = _ripples(hidden - size, tower.config.patch_size)
    straight, slanted = [(0, 1), (0, -1), (1, 0), (-1, 0)], [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    for number, layer in enumerate(tower.encoder.layers[:-1]):
        steps = straight if number % 2 == 0 else slanted
        reach = (1, 1, 2, 3)[min(number, 3)]
        attention = layer.self_attn
        for head in range(heads):
            rows = slice(head * size, (head + 1) * size)
            turned = [_turned(speeds, reach * step) for step in steps[head % 4]]
            attention.k_proj.weight[rows, :size] += torch.eye(size)
            attention.q_proj.weight[rows, :size] += SHARPNESS * torch.block_diag(*turned)


def _ripples(count: int, side: int) -> torch.Tensor:
    """Brightness and colour of a patch in ever finer ripples: (count, 3, side, side).

    Edges are rare and faint beside plain grounds, so the finer ripples are made as loud.
    """
    at = (torch.arange(side) + 0.5) * math.pi / side
    order = sorted((a + b, a, b) for a in range(side) for b in range(side))
    tints = torch.tensor([[1.0, 1, 1], [1, -1, 0], [0.5, 0.5, -1]])
    tints /= tints.norm(dim=1, keepdim=True)
    found = []
    for tint, share in zip(tints, (0.5, 0.25, 0.25), strict=True):
        for total, a, b in order[: round(count * share)]:
            ripple = torch.outer((a * at).cos(), (b * at).cos())
            ripple /= ripple.norm()
            loud = 0.06 if total == 0 else 0.3
            found.append(loud * tint[:, None, None] * ripple)
    return torch.stack(found)


def _turned(speeds: torch.Tensor, step: int) -> torch.Tensor:
    """Turns waves (all sines, then all cosines) into those of a place so many steps further."""
    sin, cos = torch.diag((speeds * step).sin()), torch.diag((speeds * step).cos())
    return torch.cat([torch.cat([cos, sin], 1), torch.cat([-sin, cos], 1)])
