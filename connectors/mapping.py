"""Reads the mapping file of a target: YAML into a typed model.

Here: loading and its messages. Not here: what a mapping says, which each target's own module declares.
"""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from counterfoil.errors import Code, PermanentError

Model = TypeVar("Model", bound=BaseModel)


def load_mapping(path: Path, model: type[Model]) -> tuple[Model, bytes]:
    """The mapping of a target and the bytes it was read from; raises RULES_INVALID."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _invalid(path, f"the file cannot be read ({error.strerror})") from error
    try:
        return model.model_validate(yaml.safe_load(content)), content
    except yaml.YAMLError as error:
        raise _invalid(path, "it is not valid YAML") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise _invalid(path, faults) from error


def _invalid(path: Path, found: str) -> PermanentError:
    return PermanentError(
        Code.RULES_INVALID,
        f"mapping {path.name}",
        found=found,
        expected="a mapping as the reference pages describe it",
        remedy="Correct the mapping file",
    )
