"""The common ground of the models that make up a spec."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A frozen model; ``model_dump(mode="json")`` gives plain data from which ``model_validate`` makes an equal one."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def replace(self, **changes: Any) -> Self:
        """A validated copy with ``changes``."""
        return type(self)(**({name: getattr(self, name) for name in type(self).model_fields} | changes))
