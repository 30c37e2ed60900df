"""Rules of early stopping. A new one is a class here, its place in ``STOPPING`` and the file that ``rule`` names."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from study.spec.part import Part


class NoStopping(Part):
    """Every trial runs to its end."""

    pauses: ClassVar[bool] = False
    kind: Literal["NoStopping"] = "NoStopping"


class Rungs(Part):
    """Where rungs lie; at each of them a rule decides which trials continue.

    Args:
        first_rung: progress at the first rung (for robust SSL: view passes per training image); each later rung is at
            ``eta`` times the previous.
        eta: reduction factor; why 2 is the default is in ``docs/results/early_stopping.md``.
        audit: share of the trials due to be stopped, or paused, that are run to the end instead, so that the report
            can estimate how often that costs a member of the front. Of the paused ones some would have been promoted
            later, so that there the estimate is too high.

    Attributes:
        rule: the function that makes the rule, as ``module:name``; '' of a rule that ``pauses``.
        pauses: whether trials that do not continue are paused, and may be continued later, instead of stopped.
    """

    rule: ClassVar[str] = ""
    pauses: ClassVar[bool] = False
    first_rung: int = Field(ge=1)
    eta: int = Field(2, ge=2)
    audit: float = Field(0.0, ge=0, le=1)

    @property
    def compared(self) -> tuple[str, ...]:
        """The objectives that rungs compare."""
        raise NotImplementedError


class MultiObjectiveRungs(Rungs):
    """Rungs that compare several objectives.

    ``objectives`` are compared; they must be reported before the end. Empty: all that are, but costs.
    """

    objectives: tuple[str, ...] = ()

    @property
    def compared(self) -> tuple[str, ...]:
        """All of ``objectives``."""
        return self.objectives


class MoAsha(MultiObjectiveRungs):
    """Multi-objective ASHA: at each rung the best ``1/eta`` of the trials seen there so far continue.

    Example:
        >>> stopping = MoAsha(first_rung=1, objectives=("accuracy", "f1"))  # rungs at 1, 2, 4 ...
        >>> stopping.eta, stopping.compared
        (2, ('accuracy', 'f1'))
    """

    rule: ClassVar[str] = "study.decisions.moasha:rule"
    kind: Literal["MoAsha"] = "MoAsha"


class PausingMoAsha(MultiObjectiveRungs):
    """Multi-objective ASHA with promotions: a trial that is not among the best ``1/eta`` at a rung is paused.

    It goes on from its checkpoint as soon as it is among the best, because more trials have come to the rung. A free
    worker first continues such a trial, on the highest rung first; else it starts a new config. See
    ``study.decisions.promotion``.

    Example:
        >>> stopping = PausingMoAsha(first_rung=1, objectives=("accuracy", "f1"))
        >>> stopping.pauses, stopping.compared
        (True, ('accuracy', 'f1'))
    """

    pauses: ClassVar[bool] = True
    kind: Literal["PausingMoAsha"] = "PausingMoAsha"


class RayAsha(Rungs):
    """Ray Tune's own single-objective ASHA; an empty ``objective`` is the study's headline."""

    rule: ClassVar[str] = "study.decisions.ray_asha:rule"
    kind: Literal["RayAsha"] = "RayAsha"
    objective: str = ""

    @property
    def compared(self) -> tuple[str, ...]:
        """The one objective."""
        return (self.objective,)


Stopping = Annotated[MoAsha | PausingMoAsha | RayAsha | NoStopping, Field(discriminator="kind")]
STOPPING: dict[str, type[MoAsha] | type[PausingMoAsha] | type[RayAsha] | type[NoStopping]] = {
    "moasha": MoAsha,
    "pausing": PausingMoAsha,
    "asha": RayAsha,
    "none": NoStopping,
}
