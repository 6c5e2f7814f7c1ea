"""Shows what a plan would do, as the outcomes that carrying it out would have."""

from __future__ import annotations

from py_image_dedup.model.events import ActionFinished, Observer, PhaseAdvanced
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.plan import Outcome, OutcomeStatus, Plan
from py_image_dedup.removal.invariants import check_plan


def show(plan: Plan, observer: Observer) -> tuple[Outcome, ...]:
    """Return an outcome ``planned`` for each action; nothing is looked at and nothing is done.

    Args:
        plan: Checked again first.
        observer: Is told every outcome.

    Raises:
        PlanError: The plan breaks an invariant.
    """
    check_plan(plan)
    outcomes = tuple(Outcome(action, OutcomeStatus.PLANNED, action.target) for action in plan.actions)
    for outcome in outcomes:
        announce(observer, outcome)
    return outcomes


def announce(observer: Observer, outcome: Outcome) -> None:
    """Tell an outcome."""
    observer(ActionFinished(outcome))
    observer(PhaseAdvanced(Phase.REMOVE))
