"""Opening an image file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

__all__ = ["open_image"]


@contextmanager
def open_image(path: str | Path) -> Iterator[Image.Image]:
    """Open an image of 8 bits a channel.

    Raises:
        ValueError: it has more bits, which Pillow would clip.
        Exception: whatever else a damaged file makes Pillow raise.
    """
    with Image.open(path) as image:
        if image.mode[0] in "IF":
            raise ValueError(f"its pixels are of mode {image.mode}, not of 8 bits a channel")
        yield image
