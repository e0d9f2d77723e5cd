"""The lesson of a tiny model that sees: its pictures, its questions, and steps of its training."""

from collections import defaultdict
from random import Random

import numpy as np
import pytest
import torch

from backends import REGISTRY, Chunk, ContextLengthError, GenerationParams, Message, TextPart
from playground.examples.vision import VisionExample, load_vision, picture_bytes
from playground.media.pictures import PictureLimits, read_picture
from tools.pocket.lesson import MODELS
from tools.pocket.vision import train
from tools.pocket.vision.conversations import collate, pack
from tools.pocket.vision.drawing import COLOURS, LAYOUTS, PLACES, scene
from tools.pocket.vision.exam import examine, prior, share
from tools.pocket.vision.eyes import KINDS, Labels, PassingHead, View, laid_out
from tools.pocket.vision.lesson import Exchange, exam_questions, languages

pytestmark = pytest.mark.engine


def test_drawing_is_the_same_for_the_same_seed() -> None:
    for number, layout in enumerate(LAYOUTS):
        one, two = scene(number, layout), scene(number, layout)
        assert one == two
        assert np.array_equal(np.asarray(one.draw()), np.asarray(two.draw()))
    assert scene(1, "one") != scene(2, "one")


def test_questions_of_the_exam_are_never_taught() -> None:
    for words in languages().values():
        for topic, phrasings in words.questions.items():
            assert not {*phrasings.learned} & {*phrasings.held_out}, topic
            assert phrasings.held_out
    asked = defaultdict(set)
    for turn in exam_questions(scene(5, "two"), Random(1)):
        asked[turn.language].add(turn.task)
    assert set(asked) == set(languages())


def test_labels_say_what_there_is_to_see() -> None:
    seen = scene(7, "one", 336)
    (thing,) = seen.things
    labels = Labels.of([View(laid_out(seen, 1), seen)])
    assert labels.counts == [144] and labels.outlines.shape[0] == 144
    kind, colour, covered, centre, place, count, row, column = labels.cells.unbind(1)
    (middle,) = centre.nonzero().flatten().tolist()
    assert (row[middle], column[middle]) == (int(thing.y / 28), int(thing.x / 28))
    on = covered > 0
    assert {KINDS[n] for n in kind[on]} == {thing.kind}
    assert {COLOURS[n] for n in colour[on]} == {thing.colour}
    assert {PLACES[n] for n in place[on]} == {seen.place(thing)}
    assert set(count[on].tolist()) == {0} and labels.named.tolist() == [
        [KINDS.index(thing.kind), COLOURS.index(thing.colour)]
    ]


def test_what_stands_beside_another_talk_is_not_read() -> None:
    processor = train.new_processor()
    talks = [[Exchange("en", "shape", text, "It is a star.", "star")] for text in ("A?", "B?", "C")]
    row = pack(processor, 4, talks[:2], talks[2:])
    mask, at = collate([row])["attention_mask"][0, 0], row.talks.index
    assert mask[at(2), at(0)] and not mask[at(2), at(1)], "a picture is seen, other talk is not"
    assert not mask[at(-3), at(0)], "where there is no picture, none is seen"
    alone = pack(processor, 4, talks[:1], [])
    assert row.ids[: len(alone.ids)] == alone.ids
    asked = processor.encode("<|user|>\n<|image_1|>\nA?<|end|>\n<|assistant|>\n", [4])
    assert alone.ids[: len(asked)] == asked


def test_a_few_steps_of_the_training_run() -> None:
    torch.manual_seed(0)
    processor = train.new_processor()
    model = train.new_model(processor)
    head = PassingHead(model.config.hidden_size)
    tower = model.model.vision_embed_tokens.img_processor
    eyes, words = tower.encoder.layers[0].mlp.fc1.weight, model.lm_head.weight
    before = eyes.clone(), words.clone()
    for side in (112, 336):
        train.look(model, head, train.Pieces(processor, side, 1, 2), 1e-3)
    assert not torch.equal(before[0], eyes) and torch.equal(before[1], words)
    before = eyes.clone(), words.clone()
    train.talk(model, train.Pieces(processor, 168, 2, 2, talk=True))
    assert torch.equal(before[0], eyes) and not torch.equal(before[1], words)
    before = words.clone()
    train.answer(model, train.Pictures(processor, 3, 4))
    assert not torch.equal(before, words)
    assert torch.isfinite(eyes).all() and torch.isfinite(words).all()


def test_it_tells_colours_and_shapes_that_it_never_saw() -> None:
    found = examine(MODELS / "pocket-vision", scenes=4)
    for task in ("colour", "shape"):
        results = [one for (asked, *_), some in found.items() if asked == task for one in some]
        assert share(results) >= 0.9 > 0.6 > prior(results), task


SEEN = {
    "shape": ("red circle", "círculo rojo", "红色的圆形", "دائرة حمراء"),
    "count": ("three triangles", "tres triángulos", "三个三角形", "ثلاثة مثلثات"),
    "digit": ("7", "7", "7", "7"),
    "detail": ("triangle", "triángulo", "三角形", "مثلث"),
}
"""What is on the examples' pictures, in English, Spanish, Chinese and Arabic."""


async def answer(example: VisionExample, crops: int) -> str:
    pictures = [
        read_picture(picture_bytes(name), name, PictureLimits()) for name in example.pictures
    ]
    parts = (*(picture.part for picture in pictures), TextPart(example.prompt))
    params = GenerationParams(temperature=0, num_crops=crops)
    steps = REGISTRY["pocket"].stream("pocket-vision", [Message("user", parts)], params)
    return "".join([step.text async for step in steps if isinstance(step, Chunk)])


async def test_it_sees_what_is_on_the_examples_in_four_crops_and_less_in_one() -> None:
    found: dict[str, list[bool]] = defaultdict(list)
    for place, code in enumerate(("en", "es", "zh", "ar")):
        for example in load_vision(code):
            if example.pocket:
                word = SEEN[example.task][place]
                assert word in await answer(example, 4), (code, example.task)
                found[example.task].append(word in await answer(example, 1))
    assert found.keys() == SEEN.keys()
    assert all(found["shape"]) and all(found["digit"]) and not any(found["detail"])


async def test_it_looks_in_at_most_four_crops_and_says_what_is_too_much() -> None:
    pocket = REGISTRY["pocket"]
    assert pocket.crops("pocket-vision", GenerationParams(num_crops=16), 1) == 4
    assert pocket.crops("pocket-vision", GenerationParams(), 1) == 4
    assert pocket.crops("pocket-3.5", GenerationParams(), 1) is None
    image = read_picture(picture_bytes("circle.png"), "circle.png", PictureLimits()).part
    many = [Message("user", (*[image] * 6, TextPart("What is it?")))]
    with pytest.raises(ContextLengthError, match="4,096"):
        async for _ in pocket.stream("pocket-vision", many, GenerationParams()):
            pass
