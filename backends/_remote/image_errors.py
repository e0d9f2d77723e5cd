"""Error responses to requests with pictures: which limit was hit, and what to do about it."""

import re

from .._core.errors import BackendError, BadRequestError, ContextLengthError

_NO_VISION = re.compile(
    r"not a multimodal model|at most 0 (image|vision_chunk)"  # vLLM
    r"|image input is not supported|not compiled for (multimodal|vision)"  # llama.cpp, llamafile
    r"|does not support (image|vision|multimodal)"  # LM Studio, Ollama
    r"|missing data required for image input"  # Ollama's own engine
    r"|image_url is (not supported|only supported by)"  # OpenAI, Azure
    r"|(images?|vision|multimodal) (input |content )?(is|are) not supported|support image input",
    re.IGNORECASE,
)
"""A picture for a model without vision, or one that was started without its vision part.

Sources: studio-dots-ai/dots.ocr#61 (vLLM), ggml-org/llama.cpp#13566 and its `server`,
lmstudio-bug-tracker#908, `ErrNoVisionModel` in ollama/ollama, browser-use/web-ui#274 (Azure).
"""
_TOO_MANY_IMAGES = re.compile(
    r"at most (?P<limit>\d{1,6}) (image|vision_chunk)\(s\)"  # vLLM, and NVIDIA's models on it
    r"|set image=(?P<older>\d{1,6}) .{0,300}limit-mm-per-prompt"  # vLLM of early 2025
    r"|only supports one image|not support multi-?image|(multiple|too many) images",
    re.IGNORECASE | re.DOTALL,
)
"""More pictures than a request may hold.

Sources: vllm#13513 and `parse_mm_data` in vLLM, xorbitsai/inference#3054, `mllama` in
ollama/ollama's `server/prompt.go`, `prompt_utils.py` of mlx-vlm.
"""
_UNREADABLE_IMAGE = re.compile(
    r"cannot identify image|must be a base64 encoded image|invalid (image|base64)|illegal base64"
    r"|(failed|unable|error) (to|in) (load|decode|open|process)(ing)? (the |an? )?image"
    r"|unsupported image|image: unknown format",
    re.IGNORECASE,
)
"""A picture that cannot be decoded.

Sources: Pillow, lmstudio-bug-tracker#1752, Go's `image`, llama.cpp.
"""


def map_image_error(
    label: str,
    subject: str,
    pictures: int,
    text: str,
    quoted: str,
    status: int | None,
    too_long: bool,
) -> BackendError | None:
    """The error for a failed request with pictures; `None` if it is not about the pictures.

    `label` is the backend's name, `subject` the model in quotation marks, `pictures` their number,
    `text` the error's codes and message, `quoted` the message as a sentence of its own, `too_long`
    whether it is about the context length. `values["reason"]` of the error names the limit.
    """
    sent = "The picture is" if pictures == 1 else f"The {pictures} pictures are"
    if _NO_VISION.search(text):
        return BadRequestError(
            f"At {label}, {subject} cannot look at pictures.{quoted}",
            "Choose a vision model there, or remove the picture. If it is one, it was started "
            "without its vision part (for llama.cpp: --mmproj).",
            status=status,
            reason="no_vision",
        )
    if many := _TOO_MANY_IMAGES.search(text):
        limit = int(many["limit"] or many["older"] or 1)
        return BadRequestError(
            f"{label} takes at most {limit} of the {pictures} pictures in this conversation."
            f"{quoted}",
            "That is the server's limit, not the page's. Send fewer pictures or frames, or clear "
            "the conversation: earlier ones are sent again. Who runs a vLLM raises it with "
            f"--limit-mm-per-prompt '{{\"image\": {pictures}}}'.",
            status=status,
            reason="too_many_pictures",
            limit=limit,
            pictures=pictures,
        )
    if _UNREADABLE_IMAGE.search(text):
        return BadRequestError(
            f"{label} cannot read a picture that was sent.{quoted}",
            "Save it as PNG or JPEG and add it again.",
            status=status,
            reason="unreadable_picture",
        )
    if too_long:
        return ContextLengthError(
            f"{sent} too much for {label}, with the text and the answer.{quoted}",
            "A picture can take more tokens than a page of text. Send fewer or smaller ones, lower "
            "“Max tokens”, or clear the conversation.",
            status=status,
        )
    if status == 413:
        return BadRequestError(
            f"{sent} too large for {label}.{quoted}",
            "That is the server's limit for one request, not the page's. Send fewer or smaller "
            "pictures, or clear the conversation: earlier ones are sent again.",
            status=status,
            reason="pictures_too_large",
        )
    return None
