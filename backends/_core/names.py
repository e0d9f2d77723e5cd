"""Names of models as servers and files have them, compared by whole segments.

`microsoft/Phi-3.5-mini-instruct-Q4_K_M.gguf` is `phi-3.5-mini`, for what stands around that says
who published it, how its numbers are rounded, when, and in which form. `llava-phi-3.5-mini` and
`phi-3.5-mini-abliterated` are other models.
"""

import re
from functools import cache, lru_cache

from .catalog import MODELS, ModelSpec

_BETWEEN = "[-_.: ]"
_PUBLISHER = r"(?:microsoft[-_.])?"
_FORMS = "|".join(
    (
        # what it was tuned for, by the names of Phi
        "instruct|it|chat",
        # size and context
        r"\d+(?:\.\d+)?b|\d+k",
        # rounding: Q4_K_M, IQ3_XXS, int4, w4a16, 4bit, 4.0bpw …
        r"(?:ud[-_])?i?q\d+(?:f\d+)?(?:_(?:k|0|1|nl|xxs|xs|s|m|l|xl)){0,3}",
        r"(?:fp|f|bf|float|int|uint|nf|mxfp|nvfp)\d+(?:[-_](?:sym|asym|ov|dynamic))?",
        r"w\d+a\d+|\d+[-_]?bits?|\d+(?:\.\d+)?bpw",
        r"awq|gptq|bnb|exl[23]|hqq|dwq|aqlm|marlin|rtn|imat(?:rix)?|i1|quant(?:i[sz]ed)?|dynamic",
        r"(?:block|group|level|gs|g)[-_]?\d+|acc",
        # form of the files
        r"gguf|ggml|onnx|mlx|openvino|ov|safetensors|bin|ct2|trt(?:rtx)?|tensorrt|hf|generic",
        # where it runs
        "cpu|gpu|npu|cuda|directml|dml|webgpu|web|mobile|qnn|vitis|rocm|metal",
        # when it was made, which part of it, and a service's own tags
        r"20\d\d(?:[-_.]?[01]\d(?:[-_.]?[0-3]\d)?)?|\d{4}|v\d+(?:\.\d+)*|\d{5}-of-\d{5}",
        "latest|main|original|official|free|fastest|cheapest|preferred",
    )
)
_END = r"(?=[-_.:@+ ]|$)"
# Atomic, so that a long name that is none is not tried in every way of cutting it into forms.
_SUFFIXES = rf"(?:[-_.:@+ ]+(?>(?:{_FORMS}){_END}))*+(?::\d+)?"
_FOLDERS = "snapshots|blobs|models?|hub|resolve|cpu_and_mobile|ggml[-_]model|[0-9a-f]{7,64}"
_SAYS_NOTHING = re.compile(
    rf"(?>(?:{_FOLDERS}|{_FORMS}){_END})"
    rf"(?:[-_. ]+(?>(?:and|model|block|\d+|{_FORMS}){_END}))*+{_SUFFIXES}"
)
"""A part of a path that names a form, a revision or a folder, not a model."""


def main_part(name: str) -> str:
    """The part of a name or path that names the model, without its publisher, in lower case.

    Of `/hub/models--microsoft--phi-4/snapshots/0123abc` it is `phi-4`.
    """
    parts = [part for part in re.split(r"[/\\]|--", name.strip().casefold()) if part]
    named = (part for part in reversed(parts) if not _SAYS_NOTHING.fullmatch(part))
    return next(named, parts[-1] if parts else "")


def _is_form_of(part: str, published: str) -> bool:
    """Whether the main part of a name means the model that was published under another name."""
    return bool(_pattern(published.casefold()).fullmatch(part))


@cache
def _pattern(published: str) -> re.Pattern[str]:
    """What a published name looks like elsewhere: `phi-3.5-mini` as `Phi3_5-mini-Q4`."""
    pieces = re.findall(r"\d+[a-z]+|[a-z]+|\d+", published)
    return re.compile(_PUBLISHER + f"{_BETWEEN}?".join(pieces) + _SUFFIXES)


_OLLAMA = {
    "phi3": "phi-3-mini-4k",
    "phi3:mini": "phi-3-mini-4k",
    "phi3:medium": "phi-3-medium-4k",
    "phi3:14b": "phi-3-medium-4k",
    "phi3.5": "phi-3.5-mini",
}
"""Names of Ollama's library that are not those of a publisher; other servers took them over."""


@lru_cache(4096)
def known_model(name: str) -> ModelSpec:
    """The catalog's model that a server's name means: `phi-4-mini-instruct-q4.gguf` is one.

    A guess: what a server tells about the model itself counts more.
    """
    part = main_part(name)
    plain = part.removesuffix(":latest")
    found = MODELS.get(_OLLAMA.get(plain, "")) or next(
        (spec for spec in MODELS.values() for known in _names(spec) if _is_form_of(part, known)),
        None,
    )
    return found or unknown_model(name)


def unknown_model(name: str) -> ModelSpec:
    """A model that is not in the catalog: it stands for itself and has no facts."""
    return ModelSpec(
        key=name,
        label=name,
        family="",
        parameters=0,
        active_parameters=0,
        context=0,
        languages=(),
        modalities=("text", "image"),  # nobody knows: the server will say
        licence="",
        source="",
    )


def _names(spec: ModelSpec) -> tuple[str, ...]:
    """The names under which a model is published: our own, and that of its repository."""
    return (spec.key, spec.hub_id.rpartition("/")[2]) if spec.hub_id else (spec.key,)
