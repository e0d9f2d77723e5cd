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

from backends._local.phi3_vision.crops import LINES, Layout
from backends._local.phi3_vision.modeling import Phi3ImageEmbedding

from .drawing import COLOURS, DIGITS, PLACES, SHAPES, Scene

PATCH = 14
CELL = 2 * PATCH
"""Pixels of a side of what becomes one token: two by two patches."""
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


class Labels(NamedTuple):
    """What there is to see in some views."""

    cells: torch.Tensor
    """Of all their cells, see `cells`."""
    outlines: torch.Tensor
    """Of all their cells, see `outlines`."""
    counts: list[int]
    """How many cells each view has."""
    named: torch.Tensor
    """Kind and colour of what each view shows (views, 2); -1 where that is not one."""

    @classmethod
    def of(cls, views: list[View]) -> "Labels":
        """Find out what there is to see."""
        found = [cells(view) for view in views]
        return cls(
            torch.from_numpy(np.concatenate(found)),
            torch.from_numpy(np.concatenate([outlines(view.seen) for view in views])),
            [len(some) for some in found],
            torch.tensor([_named(view.seen) for view in views]),
        )


class PassingHead(nn.Module):
    """Tells from picture tokens what they show; thrown away afterwards."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.kind = nn.Linear(hidden, len(KINDS))
        self.colour = nn.Linear(hidden, len(COLOURS))
        self.covered = nn.Linear(hidden, 2)
        self.mask = nn.Linear(hidden, FINE**2 + (3 * COARSE) ** 2)
        self.place = nn.Linear(hidden, len(PLACES))
        self.count = nn.Linear(hidden, MOST)
        self.row, self.column = nn.Linear(hidden, LINES), nn.Linear(hidden, LINES)
        self.gaze = nn.Linear(hidden, 1)
        self.named = nn.Linear(hidden, len(KINDS) + len(COLOURS))

    def loss(
        self, tokens: torch.Tensor, labels: Labels, start: tuple[int, int] = (0, 0)
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of the tokens (n, hidden) of some views, one after the other; shares right.

        `start` is where pieces begin in their crop: row and column of their first cell.
        """
        tokens = self.norm(tokens.float())
        kind, colour, covered, centre, place, count, row, column = labels.cells.unbind(1)
        on, near = covered > 0, labels.outlines.amax(1) > 0
        kinds = self.kind(tokens[on])
        marks = torch.stack([covered, centre], dim=1).float()
        loss = (
            cross_entropy(kinds, kind[on])
            + 0.5 * cross_entropy(self.colour(tokens[on]), colour[on])
            + binary_cross_entropy_with_logits(self.covered(tokens), marks)
            + 5 * binary_cross_entropy_with_logits(self.mask(tokens[near]), labels.outlines[near])
        )
        for told, at, first in ((self.row, row, start[0]), (self.column, column, start[1])):
            loss = loss + 0.5 * cross_entropy(told(tokens), (at + first) % LINES)
        right = {"cells": _share(kinds.argmax(1) == kind[on])}
        right["row"] = _share(self.row(tokens).argmax(1) == (row + start[0]) % LINES)
        one = labels.named[:, 0] >= 0
        if one.any():
            named = self._named(tokens, labels.counts)[one].split((len(KINDS), len(COLOURS)), dim=1)
            for name, logits, truth in zip(
                ("kind", "colour"), named, labels.named[one].unbind(1), strict=True
            ):
                loss = loss + cross_entropy(logits, truth)
                right[name] = _share(logits.argmax(1) == truth)
        if (known := on & (place >= 0)).any():
            places, counts = self.place(tokens[known]), self.count(tokens[known])
            loss = loss + 2 * cross_entropy(places, place[known])
            loss = loss + cross_entropy(counts, count[known])
            right["place"] = _share(places.argmax(1) == place[known])
            right["count"] = _share(counts.argmax(1) == count[known])
        return loss, right

    def _named(self, tokens: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """What each view as a whole shows, told from the tokens that matter."""
        weighed = [(self.gaze(some).softmax(0) * some).sum(0) for some in tokens.split(counts)]
        return self.named(torch.stack(weighed))


def _named(scene: Scene) -> tuple[int, int]:
    alike = {(thing.kind, thing.colour) for thing in scene.things}
    if len(alike) > 1:
        return -1, -1
    ((kind, colour),) = alike
    return KINDS.index(kind), COLOURS.index(colour)


def _share(right: torch.Tensor) -> float:
    return right.float().mean().item()


def cells(view: View) -> np.ndarray:
    """What each cell shows: (cells, 8) of kind, colour, covered or not, centre or not; where its
    thing is and among how many less one, -1 where the whole picture is not in view; its own row
    and column."""
    scene, whole = view
    rows, columns = scene.height // CELL, scene.width // CELL
    found = np.zeros((rows, columns, 8), dtype=np.int64)
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
            found[mine, 4:6] = (
                PLACES.index(whole.place(whole.things[number])),
                len(whole.things) - 1,
            )
    found[..., 6], found[..., 7] = np.indices((rows, columns))
    return found.reshape(-1, 8)


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
    embedding: Phi3ImageEmbedding, pixels: torch.Tensor, start: tuple[int, int]
) -> torch.Tensor:
    """The tokens of square pieces of pictures: (pieces, 3, side, side) to (pieces, cells, hidden).

    What `embed_image` does, for a part of a crop that begins at this row and column of cells.
    """
    tower: Any = embedding.img_processor
    side = pixels.shape[-1] // PATCH
    grid = tower.config.image_size // PATCH
    row, column = (2 * cell for cell in start)
    rows = torch.arange(row, row + side)[:, None] * grid
    places = 1 + (rows + torch.arange(column, column + side)).flatten()
    inner = tower.embeddings
    patches = inner.patch_embedding(pixels).flatten(2).transpose(1, 2)
    whole = inner.class_embedding.expand(len(pixels), 1, -1)
    numbered = inner.position_embedding(torch.cat([torch.zeros(1, dtype=torch.long), places]))
    hidden = tower.pre_layrnorm(torch.cat([whole, patches], dim=1) + numbered)
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
