"""The Vision tab's form and its state of an open page."""

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from backends import GenerationParams

from ...compare.form import Form, SideForm, optional
from ...compare.session import Session
from .tray import CropPreviews


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else optional(value)


CROPS = (1, 4, 16)
"""Maximum crops that a visitor can choose; the model's own default is `None`."""
Crops = Annotated[Literal[1, 4, 16] | None, BeforeValidator(_number)]


class VisionSide(SideForm):
    """The inputs of a side with its own number of crops."""

    crops: Crops = None

    def params(self, shared: GenerationParams) -> GenerationParams:
        """Return the side's generation parameters, with its crops."""
        return replace(super().params(shared), num_crops=self.crops)


class VisionForm(Form):
    """A form in which each side has its own number of crops."""

    side_type: ClassVar[type[SideForm]] = VisionSide


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
