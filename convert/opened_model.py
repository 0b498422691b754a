"""Open a model file once per run and pass on its path, its description and its digest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convert.errors import ModelFileError
from convert.files import file_sha256
from convert.model_file import Description, read_description


@dataclass(frozen=True)
class OpenedModel:
    """A model file whose description has been read.

    `OpenedModel.read("yolov3.h5")` opens a file; it raises `ModelFileError` if it is not a model.
    """

    path: Path
    description: Description

    @classmethod
    def read(cls, path: Path | str) -> OpenedModel:
        """Read the description of a model file."""
        return cls(Path(path), read_description(path))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file in hexadecimal, computed when it is first asked for."""
        try:
            return file_sha256(self.path)
        except OSError as error:
            raise ModelFileError(f"{self.path}: cannot be read ({error.strerror or error})") from None
