"""The base of everything that people write as YAML.

Here: that one model. Not here: any key.
"""

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """Base of everything read from YAML: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
