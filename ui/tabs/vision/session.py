"""The Vision tab's form and its state of an open page."""

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from backends import GenerationParams

from ...compare.form import Form, optional
from ...compare.session import Session
from .tray import CropPreviews


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else optional(value)


CROPS = (1, 4, 16)
"""Maximum crops that a visitor can choose; the model's own default is `None`."""
Crops = Annotated[Literal[1, 4, 16] | None, BeforeValidator(_number)]


class VisionForm(Form):
    """A form in which each side has its own number of crops."""

    left_crops: Crops = None
    right_crops: Crops = None

    def params_of(self, side: int) -> GenerationParams:
        """Return the generation parameters of one side, with its own crops."""
        return replace(self.params, num_crops=(self.left_crops, self.right_crops)[side])


@dataclass
class VisionSession(Session):
    """A session with the state of uploads and of the tray."""

    form_type: ClassVar[type[Form]] = VisionForm

    reading: int = 0
    """Uploads whose pictures are being read."""
    example_clicks: int = 0
    """Number of clicks on examples: only the last one is applied."""
    crop_previews: CropPreviews = field(default_factory=dict[tuple[str, int], str])
    """Cached previews; see `ui.tabs.vision.tray`."""

    def reset(self) -> None:
        """Clear the conversation, and previews of pictures that are gone with it."""
        super().reset()
        kept = {picture.digest for picture in self.pictures}
        self.crop_previews = {
            key: preview for key, preview in self.crop_previews.items() if key[0] in kept
        }
