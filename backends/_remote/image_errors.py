"""What a server says of a picture that it does not take: whose limit it is, and what to do."""

import re

from .._core.errors import BackendError, BadRequestError, ContextLengthError

_BLIND = re.compile(
    r"not a multimodal model|at most 0 (image|vision_chunk)"  # vLLM
    r"|image input is not supported|not compiled for (multimodal|vision)"  # llama.cpp, llamafile
    r"|does not support (image|vision|multimodal)"  # LM Studio, Ollama
    r"|missing data required for image input"  # Ollama's own engine
    r"|image_url is (not supported|only supported by)"  # OpenAI, Azure
    r"|(images?|vision|multimodal) (input |content )?(is|are) not supported|support image input",
    re.IGNORECASE,
)
"""Of a picture for a model that cannot see, or that was started without its eyes.

Sources: studio-dots-ai/dots.ocr#61 (vLLM), ggml-org/llama.cpp#13566 and its `server`,
lmstudio-bug-tracker#908, `ErrNoVisionModel` in ollama/ollama, browser-use/web-ui#274 (Azure).
"""
_TOO_MANY = re.compile(
    r"at most (?P<limit>\d{1,6}) (image|vision_chunk)\(s\)"  # vLLM, and NVIDIA's models on it
    r"|set image=(?P<older>\d{1,6}) .{0,300}limit-mm-per-prompt"  # vLLM of early 2025
    r"|only supports one image|not support multi-?image|(multiple|too many) images",
    re.IGNORECASE | re.DOTALL,
)
"""Of more pictures than it takes at once.

Sources: vllm#13513 and `parse_mm_data` in vLLM, xorbitsai/inference#3054, `mllama` in
ollama/ollama's `server/prompt.go`, `prompt_utils.py` of mlx-vlm.
"""
_UNREADABLE = re.compile(
    r"cannot identify image|must be a base64 encoded image|invalid (image|base64)|illegal base64"
    r"|(failed|unable|error) (to|in) (load|decode|open|process)(ing)? (the |an? )?image"
    r"|unsupported image|image: unknown format",
    re.IGNORECASE,
)
"""Of a file that it cannot read: Pillow, lmstudio-bug-tracker#1752, Go's `image`, llama.cpp."""


def picture_refused(
    label: str,
    what: str,
    pictures: int,
    found: str,
    told: str,
    status: int | None,
    too_long: bool,
) -> BackendError | None:
    """The error that stands for the refusal of a request with pictures, if it is about them.

    `label` is the backend's name, `what` the model in quotes, `found` everything the server says,
    `told` its words as part of a sentence; `too_long` that they speak of the context.
    `values["reason"]` says which refusal it is.
    """
    sent = "The picture is" if pictures == 1 else f"The {pictures} pictures are"
    if _BLIND.search(found):
        return BadRequestError(
            f"At {label}, {what} cannot look at pictures.{told}",
            "Choose a vision model there, or remove the picture. If it is one, it was started "
            "without its vision part (for llama.cpp: --mmproj).",
            status=status,
            reason="no_vision",
        )
    if many := _TOO_MANY.search(found):
        limit = int(many["limit"] or many["older"] or 1)
        return BadRequestError(
            f"{label} takes at most {limit} of the {pictures} pictures in this conversation.{told}",
            "That is the server's limit, not the page's. Send fewer pictures or frames, or clear "
            "the conversation: earlier ones are sent again. Who runs a vLLM raises it with "
            f"--limit-mm-per-prompt '{{\"image\": {pictures}}}'.",
            status=status,
            reason="too_many_pictures",
            limit=limit,
            pictures=pictures,
        )
    if _UNREADABLE.search(found):
        return BadRequestError(
            f"{label} cannot read a picture that was sent.{told}",
            "Save it as PNG or JPEG and add it again.",
            status=status,
            reason="unreadable_picture",
        )
    if too_long:
        return ContextLengthError(
            f"{sent} too much for {label}, with the text and the answer.{told}",
            "A picture can take more tokens than a page of text. Send fewer or smaller ones, lower "
            "“Max tokens”, or clear the conversation.",
            status=status,
        )
    if status == 413:
        return BadRequestError(
            f"{sent} too large for {label}.{told}",
            "That is the server's limit for one request, not the page's. Send fewer or smaller "
            "pictures, or clear the conversation: earlier ones are sent again.",
            status=status,
            reason="pictures_too_large",
        )
    return None
