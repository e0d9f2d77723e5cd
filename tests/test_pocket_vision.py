"""The lesson of a tiny model that sees: its pictures, its questions, and steps of its training."""

from collections import defaultdict
from random import Random

import numpy as np
import torch

from backends._phi3_vision import Phi3VForCausalLM
from backends.pocket.vision import train
from backends.pocket.vision.drawing import LAYOUTS, scene
from backends.pocket.vision.eyes import PassingHead
from backends.pocket.vision.lesson import exam, languages


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
    for turn in exam(scene(5, "two"), Random(1)):
        asked[turn.language].add(turn.task)
    assert set(asked) == set(languages())


def test_a_few_steps_of_the_training_run() -> None:
    torch.manual_seed(0)
    processor = train.new_processor()
    model = Phi3VForCausalLM(train.config(processor.tokenizer))
    head = PassingHead(model.config.hidden_size)
    before = model.lm_head.weight.clone()
    train.warm_up(model, processor, head, steps=2, pieces=2, plain=0.5, mute=0.5)
    train.train(model, processor, head, steps=3, pictures=1, dialogues=1)
    assert torch.isfinite(model.lm_head.weight).all()
    assert not torch.equal(before, model.lm_head.weight)
