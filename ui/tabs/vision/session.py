"""What the Vision tab is sent, and keeps of an open page, beside what every tab does."""

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
"""What a visitor chooses from; the model's own choice is none of them."""
Crops = Annotated[Literal[1, 4, 16] | None, BeforeValidator(_number)]


class VisionForm(Form):
    """A form in which each side has its own number of crops."""

    left_crops: Crops = None
    right_crops: Crops = None

    def params_of(self, side: int) -> GenerationParams:
        """The knobs for one side: the crops are its own."""
        return replace(self.params, num_crops=(self.left_crops, self.right_crops)[side])


@dataclass
class VisionSession(Session):
    """A session that knows which pictures are being read, and how they were drawn."""

    form_type: ClassVar[type[Form]] = VisionForm

    reading: int = 0
    """Uploads whose pictures are being read."""
    example_clicks: int = 0
    """Examples that were picked so far: only the last one counts."""
    crop_previews: CropPreviews = field(default_factory=dict[tuple[str, int], str])
    """Pictures drawn as the models see them; see `ui.tabs.vision.tray`."""

    def reset(self) -> None:
        """Forget the conversation, and how pictures were drawn that are gone with it."""
        super().reset()
        kept = {picture.digest for picture in self.pictures}
        self.crop_previews = {
            key: preview for key, preview in self.crop_previews.items() if key[0] in kept
        }
