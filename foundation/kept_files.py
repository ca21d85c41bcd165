"""JSON files that a home keeps: pydantic models with a format number (`foundation.formats`).

    class Removed(KeptFile):
        FORMAT = formats.REMOVED
        removed: dict[str, datetime]

    Removed.read(path)          None where the file is absent
    Removed(...).write(path)    as a whole or not at all

Fields that a model does not know are ignored, so that the file of a later release with the same number is read. A higher number is
refused. A model says in `older` how a file with a lower number becomes one of today's.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from foundation import formats
from foundation.errors import ConfigurationError, DamagedFileError
from foundation.home import write_atomically


class KeptFile(BaseModel):
    """Base of all of them. `FORMAT` is the number that this release writes."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    FORMAT: ClassVar[int]

    @classmethod
    def older(cls, content: dict[str, Any], number: int) -> dict[str, Any]:  # noqa: ARG003
        """The content of a file with a lower number in the form of today. Without an own method only fields were added since."""
        return content

    @classmethod
    def parse(cls, content: bytes, path: Path | None = None) -> Self:
        """Reads the content of a file, of `path` where it is named. Raises ValueError where it is not such a file, ConfigurationError
        where a later release wrote it.
        """
        raw = json.loads(content)
        if not isinstance(raw, dict):
            raise ValueError("it is not a JSON object")
        number = raw.get("format", 0)
        if not isinstance(number, int):
            raise ValueError("its format is not a number")
        formats.check_not_later(path or "a file of the home", number, cls.FORMAT)
        return cls.model_validate(cls.older(raw, number) if number < cls.FORMAT else raw)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The file; None where it is absent. Raises DamagedFileError where it does not parse, ConfigurationError where a later release
        wrote it."""
        try:
            return cls.parse(path.read_bytes(), path)
        except FileNotFoundError:
            return None
        except ValueError:
            raise DamagedFileError(f"{path}: does not parse; restore it from your backup") from None

    def to_bytes(self) -> bytes:
        """The content of the file."""
        return json.dumps({"format": self.FORMAT} | self.model_dump(mode="json"), indent=1).encode()

    def write(self, path: Path) -> None:
        """Replaces the file."""
        write_atomically(path, self.to_bytes())


class Derived(KeptFile):
    """Results that can be computed again: if the file is absent, damaged or of another release, they are."""

    FORMAT = formats.DERIVED
    content: dict[str, Any]

    @classmethod
    def older(cls, content: dict[str, Any], number: int) -> dict[str, Any]:  # noqa: ARG003
        return {"content": content}


def read_derived(path: Path) -> dict[str, Any]:
    """The recorded values; empty if the file is absent, does not parse or is of a later release."""
    try:
        derived = Derived.read(path)
    except (ConfigurationError, DamagedFileError):
        return {}
    return {} if derived is None else derived.content


def write_derived(path: Path, content: dict[str, Any]) -> None:
    """Notes what can be worked out again."""
    Derived(content=content).write(path)


class ConfigurationRecord(KeptFile):
    """`config.json` of a home: the configuration file of the last run, and where it built the marts."""

    FORMAT = formats.CONFIGURATION
    file: str = ""
    target: str = "duckdb"


def read_configuration_record(home: Path) -> ConfigurationRecord:
    """The record of a home; without a file where nothing has run in it, or where the record is torn: the next run writes it again."""
    try:
        return ConfigurationRecord.read(home / "config.json") or ConfigurationRecord()
    except DamagedFileError:
        return ConfigurationRecord()
