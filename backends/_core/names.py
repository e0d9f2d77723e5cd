"""Names of models as servers and files have them, compared by whole segments.

`microsoft/Phi-3.5-mini-instruct-Q4_K_M.gguf` is `phi-3.5-mini`, for what stands around that says
who published it, how its numbers are rounded, when, and in which form. `llava-phi-3.5-mini` and
`phi-3.5-mini-abliterated` are other models.
"""

import re
from functools import cache

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


def is_form_of(part: str, published: str) -> bool:
    """Whether the main part of a name means the model that was published under another name."""
    return bool(_pattern(published.casefold()).fullmatch(part))


@cache
def _pattern(published: str) -> re.Pattern[str]:
    """What a published name looks like elsewhere: `phi-3.5-mini` as `Phi3_5-mini-Q4`."""
    pieces = re.findall(r"\d+[a-z]+|[a-z]+|\d+", published)
    return re.compile(_PUBLISHER + f"{_BETWEEN}?".join(pieces) + _SUFFIXES)
