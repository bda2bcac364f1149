"""What holders let requesters learn: agreements, and the decision over them."""

from biometrics.disclosure.agreements import Agreements, Version, parse_version
from biometrics.disclosure.budget import Band, Standing, Tally, is_enumeration
from biometrics.disclosure.clauses import Clause, Effect, Level, Purpose
from biometrics.disclosure.decision import (
    Answer,
    Explanation,
    HolderAnswer,
    Outcome,
    Permission,
    Protection,
    SearchPlan,
    decide,
    explain,
    may_learn,
    permit,
    plan_search,
)

__all__ = [
    "Agreements",
    "Answer",
    "Band",
    "Clause",
    "Effect",
    "Explanation",
    "HolderAnswer",
    "Level",
    "Outcome",
    "Permission",
    "Protection",
    "Purpose",
    "SearchPlan",
    "Standing",
    "Tally",
    "Version",
    "decide",
    "explain",
    "is_enumeration",
    "may_learn",
    "parse_version",
    "permit",
    "plan_search",
]
