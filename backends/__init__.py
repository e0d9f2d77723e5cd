"""Where a Phi model runs: the nouns, the errors, the contract, and every backend there is."""

import importlib
import pkgutil

from ._core.backend import (
    CONTEXT_CAP,
    REGISTRY,
    Backend,
    Health,
    Offer,
    Retirement,
    Status,
    base_id,
    register,
)
from ._core.batch import BATCH, Batch
from ._core.catalog import MODELS, Modality, ModelSpec
from ._core.environment import env_flag
from ._core.errors import (
    AuthenticationError,
    BackendConnectionError,
    BackendError,
    BackendTimeoutError,
    BadRequestError,
    ContentFilterError,
    ContextLengthError,
    MissingDependencyError,
    MissingKeyError,
    ModelNotFoundError,
    OutOfDiskError,
    OutOfMemoryError,
    RateLimitError,
    RetiredError,
    ServerError,
)
from ._core.names import known_model
from ._core.pasted import clean_key, clean_name, clean_pasted
from ._core.sentence import Said, Sentence
from ._core.types import (
    Chunk,
    Connection,
    ExpertRouting,
    FinishReason,
    GenerationParams,
    ImagePart,
    Message,
    Part,
    Progress,
    Role,
    Stage,
    TextPart,
    Timings,
    Usage,
)
from ._local.capacity import Capacity, capacity
from ._local.catalog_tokens import count_catalog_tokens
from ._local.datasets import DatasetFiles, fetch_dataset
from ._local.phi3_vision.crops import CROP, Layout
from ._remote.public_address import check_public_url

__all__ = [
    "BATCH",
    "CONTEXT_CAP",
    "CROP",
    "MODELS",
    "REGISTRY",
    "AuthenticationError",
    "Backend",
    "BackendConnectionError",
    "BackendError",
    "BackendTimeoutError",
    "BadRequestError",
    "Batch",
    "Capacity",
    "Chunk",
    "Connection",
    "ContentFilterError",
    "ContextLengthError",
    "DatasetFiles",
    "ExpertRouting",
    "FinishReason",
    "GenerationParams",
    "Health",
    "ImagePart",
    "Layout",
    "Message",
    "MissingDependencyError",
    "MissingKeyError",
    "Modality",
    "ModelNotFoundError",
    "ModelSpec",
    "Offer",
    "OutOfDiskError",
    "OutOfMemoryError",
    "Part",
    "Progress",
    "RateLimitError",
    "RetiredError",
    "Retirement",
    "Role",
    "Said",
    "Sentence",
    "ServerError",
    "Stage",
    "Status",
    "TextPart",
    "Timings",
    "Usage",
    "base_id",
    "capacity",
    "check_public_url",
    "clean_key",
    "clean_name",
    "clean_pasted",
    "count_catalog_tokens",
    "env_flag",
    "fetch_dataset",
    "known_model",
    "register",
]

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    if not _module.startswith("_"):
        importlib.import_module(f"{__name__}.{_module}")
