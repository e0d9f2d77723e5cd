"""Files of data sets on the Hugging Face Hub, for who asks for them by name."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .download import failure
from .weights import hub_cache


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Files of a data set on this machine."""

    folder: Path
    revision: str
    """The commit that they are of."""


async def fetch_dataset(repository: str, revision: str, files: Sequence[str]) -> DatasetFiles:
    """Fetch some files of a data set, if they are not in the Hugging Face cache already.

    Raises `BackendError`.
    """
    return await asyncio.to_thread(_fetch, repository, revision, tuple(files))


def _fetch(repository: str, revision: str, files: tuple[str, ...]) -> DatasetFiles:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repository,
            repo_type="dataset",
            revision=revision,
            cache_dir=hub_cache(),
            allow_patterns=list(files),
        )
    except Exception as error:
        raise failure(error, repository) from error
    return DatasetFiles(Path(folder), Path(folder).name)
