"""Where backups are kept: a folder, or a bucket of object storage, through fsspec.

Credentials and endpoints come from the environment, as each store's own client reads them (for S3: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL). Object stores show an object only when it is whole; in a folder a file gets its name when
it is whole.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from foundation.errors import ClinicmartError, ConfigurationError
from foundation.faults import sentence_of
from foundation.home import write_atomically

# `scheme://user:password@host`: a password in a URL is never shown.
_CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")


class Storage:
    """Files by name below one URL. Names have forward slashes. Methods raise ClinicmartError where the store refuses."""

    def __init__(self, url: str) -> None:
        """Raises ConfigurationError for a URL of a kind that is not known or whose library is not installed."""
        self.url = _CREDENTIALS.sub("", url.rstrip("/"))
        try:
            opened: tuple[AbstractFileSystem, str] = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"{self.url}: {error}") from None
        self._files, root = opened
        self._root = root.rstrip("/")

    @property
    def folder(self) -> Path | None:
        """The folder on this machine; None for object storage."""
        return Path(self._root) if isinstance(self._files, LocalFileSystem) else None

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all."""
        with self._named(name):
            if self.folder is None:
                self._files.pipe_file(f"{self._root}/{name}", content)
            else:
                path = self.folder / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(path, content)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        with self._named(name):
            try:
                return bytes(self._files.cat_file(f"{self._root}/{name}"))
            except FileNotFoundError:
                return None

    def sizes(self, prefix: str) -> dict[str, int]:
        """Name to size in bytes of every whole file below a prefix, which is the name of a folder."""
        return {name: size for name, size in self._listed(prefix) if not _is_hidden(name)}

    def remove(self, name: str) -> None:
        """Removes a file; nothing happens where there is none."""
        with self._named(name):
            try:
                self._files.rm_file(f"{self._root}/{name}")
            except FileNotFoundError:
                return

    def remove_unfinished(self, prefix: str) -> None:
        """Removes what writers that were killed left in a folder."""
        for name, _ in self._listed(prefix):
            if _is_hidden(name):
                self.remove(name)

    def _listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        with self._named(prefix):
            try:
                entries = self._files.find(f"{self._root}/{prefix}", detail=True)
            except FileNotFoundError:
                return
        for path, detail in entries.items():
            yield str(path).removeprefix(f"{self._root}/"), int(detail["size"])

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Puts errors of the many stores into one sentence: what they say themselves names the cause."""
        try:
            yield
        except ClinicmartError:
            raise
        except FileNotFoundError:
            raise ClinicmartError(f"{self.url}: {name}: the folder or bucket is missing; make it first") from None
        except Exception as error:
            sentence = sentence_of(error) if isinstance(error, OSError) and error.errno else None
            if sentence is not None:
                raise ClinicmartError(sentence) from error
            words = _CREDENTIALS.sub("", str(error).split("\n")[0])
            raise ClinicmartError(f"{self.url}: {name}: {type(error).__name__}: {words}") from error


def _is_hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")
