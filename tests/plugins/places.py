"""A place that files come from, as tests see it: its source, and the folder behind it on this machine.

Here: the type that fixtures hand out and tests name. Not here: how such a place is started.
"""

from dataclasses import dataclass
from pathlib import Path

from counterfoil.protocols import Source


@dataclass(frozen=True)
class Place:
    """A source and the folder that it shows."""

    root: Path
    source: Source

    def put(self, path: str, content: bytes) -> Path:
        """Write a file below the root, as the partner does."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def inside(self) -> dict[str, bytes]:
        """Every file below the root with its content."""
        files = (file for file in self.root.rglob("*") if file.is_file() and not file.is_symlink())
        return {str(file.relative_to(self.root)): file.read_bytes() for file in files}
