"""What does it cost to see? `python -m benchmarks.vision`

1. A photo of 12 megapixels becomes 16 crops: the port's image processor against the published
   recipe, step by step, and the whole way from the file.
2. The first token of a prompt with a picture, divided by what its parts need anyway: CLIP's pass
   over the crops and Phi-3's over as many vectors. Random weights; once the port in one pass, once
   the page's engine, which reads in chunks so that others get a turn.
3. A second question about the same picture: how often CLIP runs then, and how much sooner it is.

With a CUDA device, 2 and 3 are measured there at the real shapes, else on the CPU at small ones.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends import Chunk, GenerationParams, ImagePart, Message, TextPart
from backends._local.machine import physical_cores
from benchmarks.local import write_tokenizer
from benchmarks.machine import Figure, machine, write

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from backends._local.torch_vision import VisionModel

PAIRS = 5
CROPS = 16
PHOTO = (4032, 3024)
SMALL = {
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "img_processor": {
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
    },
}
"""A hundredth of the work, divided between seeing and reading about as in the real model."""
REAL = {
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "img_processor": {},
}
"""microsoft/Phi-3.5-vision-instruct, `config.json`."""


def photo() -> bytes:
    """A JPEG of 12 megapixels, with as much detail as a camera's."""
    import numpy
    from PIL import Image

    random = numpy.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (63, 84, 3), dtype=numpy.uint8))
    smooth = numpy.asarray(coarse.resize(PHOTO, Image.Resampling.BICUBIC), dtype=numpy.int16)
    grain = random.integers(-12, 13, smooth.shape, dtype=numpy.int16)
    file = BytesIO()
    Image.fromarray((smooth + grain).clip(0, 255).astype("uint8")).save(file, "JPEG", quality=90)
    return file.getvalue()


def published(picture: "Image.Image", num_crops: int) -> "torch.Tensor":
    """The steps of `image_processing_phi3_v.py`, with Pillow where it has torchvision."""
    import numpy
    import torch
    from PIL import Image, ImageOps
    from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    width, height = picture.size
    ratio, scale = width / height, 1
    while scale * numpy.ceil(scale / ratio) <= num_crops:
        scale += 1
    width = (scale - 1) * 336
    picture = picture.resize((width, int(width / ratio)), Image.Resampling.BILINEAR)
    missing = int(numpy.ceil(picture.height / 336) * 336) - picture.height
    margins = (0, missing // 2, 0, missing - missing // 2)
    picture = ImageOps.expand(picture, margins, fill=(255, 255, 255))
    values = torch.from_numpy(numpy.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
    mean = torch.tensor(OPENAI_CLIP_MEAN).view(3, 1, 1)
    std = torch.tensor(OPENAI_CLIP_STD).view(3, 1, 1)
    values = values.clone().sub_(mean).div_(std)
    whole = torch.nn.functional.interpolate(values[None].float(), (336, 336), mode="bicubic")
    rows, columns = values.shape[1] // 336, values.shape[2] // 336
    crops = values[None].reshape(1, 3, rows, 336, columns, 336).permute(0, 2, 4, 1, 3, 5)
    seen = torch.cat([whole, crops.reshape(-1, 3, 336, 336).contiguous()])
    rest = torch.zeros(num_crops + 1 - len(seen), 3, 336, 336)
    return torch.stack([torch.cat([seen, rest])])


def seconds(work: Callable[[], Any]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_pairs(first: Callable[[], Any], second: Callable[[], Any]) -> list[tuple[float, float]]:
    """Seconds of both, pair by pair, who goes first swapped each time; a warm-up is not counted."""
    pairs: list[tuple[float, float]] = []
    for n in range(PAIRS + 1):
        if n % 2:
            one, two = seconds(first), seconds(second)
        else:
            two, one = seconds(second), seconds(first)
        pairs.append((one, two))
    return pairs[1:]


def ratio(pairs: list[tuple[float, float]]) -> float:
    """The first divided by the second, the median of all pairs."""
    return statistics.median(one / two for one, two in pairs)


def preprocessing() -> tuple[list[Figure], dict[str, object]]:
    """From a photo's file to what CLIP is given."""
    import torch
    from PIL import Image

    from backends._local.phi3_vision import Phi3VImageProcessor
    from backends._local.phi3_vision.crops import hd_transform
    from backends._local.phi3_vision.pixels import crop_pixels
    from playground.media.pictures import PictureLimits, read_picture

    torch.set_num_threads(physical_cores())
    data, processor = photo(), Phi3VImageProcessor(num_crops=CROPS)
    picture = Image.open(BytesIO(data)).convert("RGB")
    ours = processor([picture], return_tensors="pt")["pixel_values"]
    assert torch.allclose(ours, published(picture, CROPS), atol=1e-5), "not the published pixels"
    same = in_pairs(lambda: processor([picture]), lambda: published(picture, CROPS))

    def from_the_file() -> None:
        published(Image.open(BytesIO(data)).convert("RGB"), CROPS)

    def through_the_page() -> None:
        kept = read_picture(data, "photo.jpg", PictureLimits())
        processor([Image.open(BytesIO(kept.data)).convert("RGB")])

    whole = in_pairs(through_the_page, from_the_file)
    padded = hd_transform(picture, CROPS)
    mean, std = processor.image_mean, processor.image_std
    steps: Mapping[str, Callable[[], Any]] = {
        "decode": lambda: Image.open(BytesIO(data)).convert("RGB"),
        "resize and pad": lambda: hd_transform(picture, CROPS),
        "normalise and tile": lambda: crop_pixels(padded, mean, std),
    }
    split = {name: statistics.median(seconds(step) for _ in range(PAIRS)) for name, step in
             steps.items()}  # fmt: skip
    figures = [
        Figure("preprocessing, port / published recipe", ratio(same), "x", at_most=1.0),
        Figure("from the file, page / published recipe", ratio(whole), "x"),
        *(Figure(f"12 MP at 16 crops: {name}", 1000 * took, "ms") for name, took in split.items()),
    ]
    return figures, {"preprocessing": same, "from the file": whole}


def build(folder: Path, shapes: Mapping[str, Any], device: str) -> "VisionModel":
    """Random weights in the architecture, loaded as the page loads a checkpoint."""
    import torch

    from backends._local.phi3_vision import Phi3VConfig, Phi3VForCausalLM, Phi3VImageProcessor
    from backends._local.torch_vision import VisionModel

    half = torch.bfloat16
    write_tokenizer(folder, 32_064)
    Phi3VImageProcessor(num_crops=CROPS).save_pretrained(folder)
    torch.manual_seed(0)
    head = shapes["hidden_size"] // shapes["num_attention_heads"] // 2
    config = Phi3VConfig(
        **shapes,
        vocab_size=32_064,
        max_position_embeddings=131_072,
        original_max_position_embeddings=4096,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10_000.0,
            "short_factor": [1.0] * head,
            "long_factor": [4.0] * head,
        },
        sliding_window=262_144,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    torch.set_default_dtype(half)
    with torch.device(device):
        model = Phi3VForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    del model
    name = "bfloat16" if device != "cpu" else "float32"
    return VisionModel.load(folder, "Random", device, name, lambda done: None)


def seeing(device: str) -> tuple[list[Figure], dict[str, object]]:
    """The first token of a prompt with a picture, and of a second one about the same picture."""
    import torch
    from PIL import Image

    from backends._local.vision import PictureMemory

    torch.set_num_threads(physical_cores())
    file = BytesIO()
    Image.open(BytesIO(photo())).resize((1344, 1344)).save(file, "JPEG", quality=93)
    image = ImagePart(file.getvalue(), "image/jpeg")
    params = GenerationParams(max_tokens=1, temperature=0, num_crops=CROPS)
    with tempfile.TemporaryDirectory() as folder:
        loaded = build(Path(folder), REAL if device != "cpu" else SMALL, device)
        model, processor = loaded.model, loaded._processor
        picture = Image.open(BytesIO(image.data)).convert("RGB")
        inputs = processor("<|image_1|>\nWhat is it?", [picture]).to(device)
        inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
        length = inputs["input_ids"].shape[1]
        vectors = torch.randn(1, length, model.config.hidden_size, device=device, dtype=model.dtype)
        eyes = model.model.vision_embed_tokens

        def parts() -> None:
            with torch.inference_mode():
                eyes.img_processor(inputs["pixel_values"][0], output_hidden_states=True)
                model(
                    inputs_embeds=vectors, use_cache=True, logits_to_keep=1
                ).logits.argmax().item()

        def port() -> None:
            with torch.inference_mode():
                model(**inputs, use_cache=True, logits_to_keep=1).logits.argmax().item()

        def ask(question: str) -> None:
            prompt = (Message("user", (image, TextPart(question))),)
            for step in loaded.answer(prompt, params):
                assert not isinstance(step, Chunk) or step.tokens == 1

        def engine() -> None:
            loaded._memory = PictureMemory()
            ask("What is it?")

        passes = [0]
        see = eyes.get_img_features
        eyes.get_img_features = lambda pixels: (passes.__setitem__(0, passes[0] + 1), see(pixels))[
            1
        ]
        engine()
        at_first = passes[0]
        ask("And what is behind it?")
        again = passes[0] - at_first
        eyes.get_img_features = see
        first = in_pairs(port, parts)
        chunked = in_pairs(engine, parts)
        second = in_pairs(lambda: ask("And what is behind it?"), engine)
    spent = 1000 * statistics.median(one for one, _ in chunked)
    aim = 200 if device != "cpu" else None
    figures = [
        Figure(
            f"first token, port / its parts ({length:,} tokens)", ratio(first), "x", at_most=1.1
        ),
        Figure("first token, page's engine / the parts", ratio(chunked), "x"),
        Figure(f"first token of a {CROPS}-crop picture, engine", spent, "ms", at_most=aim),
        Figure("CLIP's passes for the first question", at_first, at_least=1),
        Figure("CLIP's passes for a second one about the picture", again, at_most=0),
        Figure("first token of the second question / of the first", ratio(second), "x"),
    ]
    return figures, {"device": device, "port": first, "engine": chunked, "second": second}


def main() -> None:
    """Measure, print the figures, write the results."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    import torch

    before = machine("torch", "transformers", "pillow")
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    figures, measured = preprocessing()
    more, seen = seeing(device)
    print(*figures, *more, sep="\n")
    if device == "cpu":
        print("No CUDA device: the real shapes were not run.")
    write("vision", before, [*figures, *more], measured | seen)


if __name__ == "__main__":
    main()
