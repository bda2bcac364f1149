"""What holders let requesters learn: agreements, and the decision over them.

Pure functions without a clock, a file or a log. `clauses` has the words, `agreements`
the file and the index, `decision` the decision; `compare`, `prohibitions` and `replay`
hold two versions side by side, and `wording` says what comes of it. `budget` says what
is near a threshold and what is told, which `biometrics.store` counts with the answer.
Keys and notes are in `biometrics.signing`, what is in force in
`biometrics.server.in_force`.

`tests/disclosure` compares the decision with a plain reading of the clauses on
thousands of questions, and with Cedar, an engine that shares nothing with it (`poe
oracle`). `poe mutation` changes every operator, number, condition, constant and
decorator of this folder, one at a time, and asks that the tests notice 95 % of them.
"""

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
