"""Is there a change of `biometrics/disclosure` that no test notices?

    python tests/mutation/run.py [--jobs 2] [--session DIR] [--least 95]

Cosmic Ray changes one operator, number, word, condition or decorator at a time, and
`tests/disclosure` runs on each: in copies of the tree, and in processes that fork from
one which has the libraries in memory. It rewrites whole files, so that what stands in a
decorated function, a property or an enumeration is changed as well; mutmut, the other
one that is kept up, passes over these. An operator has the two others in its place that
are hardest to notice: its neighbour and its opposite. Left out are mutants that are no
program, and annotations, which say nothing at run time. Those that live are shown. Run
again with the same `--session` it goes on where it was.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import chdir, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cosmic_ray.commands import init
from cosmic_ray.modules import find_modules
from cosmic_ray.mutating import mutate_code, use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cosmic_ray.work_item import WorkItem

ROOT = Path(__file__).parents[2]
MUTATED = Path("biometrics/disclosure")
COPIED = ("biometrics", "benchmarks", "enrolment", "matcher", "tests", "pyproject.toml")
# What the tests need and what imports nothing of the mutated.
LOADED = ("hypothesis", "numpy", "pydantic", "biometrics.calibration")
# Nothing that takes long at the start and finds no mutant.
OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "--assert=plain"),
    *("-c", "/dev/null", "--rootdir=.", "--confcutdir=tests/disclosure"),
    *("--import-mode=importlib", "-W", "error"),
    *("-p", "_hypothesis_pytestplugin", "--hypothesis-profile=mutation"),
)
TESTS = Path("tests/disclosure")
# Tests that find most of what is wrong with a module; others run if they do not.
FIRST = {
    "agreements": ("test_agreements.py", "test_decision.py"),
    "budget": ("test_budget.py",),
    "clauses": ("test_agreements.py", "test_decision.py"),
    "prohibitions": ("test_compare.py",),
    "wording": ("test_compare.py",),
}
# The attacks, and the other engine, take long and say what the rest says.
LEFT_OUT = {"test_attacks.py", "test_oracle.py"}
# What an operator is replaced by; Cosmic Ray has every other one, which says the same.
REPLACED = {
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    *("Add_Sub", "Add_BitOr", "Sub_Add", "Mul_Div", "Mul_Add", "Div_Mul", "Div_Sub"),
    *("BitOr_BitAnd", "BitOr_BitXor"),
}
SECONDS = 120  # for a mutant that does not end
FORK = multiprocessing.get_context("fork")


def main() -> None:
    """Change, test and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--jobs", type=int, default=2, help="copies at work at once")
    parser.add_argument("--session", type=Path, help="what was found, to go on with")
    parser.add_argument("--least", type=float, default=95.0, help="%% to be killed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.session or Path(temporary)).resolve()
        folder.mkdir(exist_ok=True)
        sessions = [folder / f"{job}.sqlite" for job in range(options.jobs)]
        with chdir(ROOT):
            for job, session in enumerate(sessions):
                if not session.exists():
                    choose(session, job, options.jobs)
        work = [
            FORK.Process(target=try_all, args=(Path(temporary) / session.stem, session))
            for session in sessions
        ]
        for process in work:
            process.start()
        for process in work:
            process.join()
        is_enough = tell(sessions, options.least)
    sys.exit(not is_enough)


def choose(session: Path, job: int, jobs: int) -> None:
    """Write the mutants that one job tries, and none that says nothing new."""
    with use_db(session, WorkDB.Mode.create) as work:
        init(sorted(find_modules([MUTATED])), work, {})
        chosen = [
            item
            for number, item in enumerate(sorted(work.work_items, key=_place))
            if number % jobs == job and _is_wanted(item) and _is_another(item)
        ]
        work.clear()
        work.add_work_items(chosen)


def _place(item: WorkItem) -> tuple[object, ...]:
    """Return where a mutant stands."""
    (mutation,) = item.mutations
    return str(mutation.module_path), mutation.operator_name, mutation.occurrence


def _is_wanted(item: WorkItem) -> bool:
    """Say whether a mutant is not one of many that say the same."""
    (mutation,) = item.mutations
    kind, _, what = mutation.operator_name.partition("Operator_")
    return "Replace" not in kind or "Unary" in kind or not what or what in REPLACED


def _is_another(item: WorkItem) -> bool:
    """Say whether a mutant is a program, and another one than the original."""
    (mutation,) = item.mutations
    code = mutation.module_path.read_text(encoding="utf-8")
    operator = get_operator(mutation.operator_name)()
    mutant = mutate_code(code, operator, mutation.occurrence)
    with suppress(SyntaxError):
        return _said(mutant) != _said(code)
    return False


@cache
def _said(code: str) -> str:
    """Return a program without its annotations."""
    compile(code, "mutant", "exec")  # finds out more than the parser
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.test = ast.Constant(None)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    return ast.dump(tree)


def try_all(place: Path, session: Path) -> None:
    """Try every mutant of a session that was not tried yet, in a copy of the tree."""
    place.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "results", "pictures")
    for source in (ROOT / name for name in COPIED):
        if source.is_dir():
            shutil.copytree(source, place / source.name, ignore=unwanted)
        else:
            shutil.copy(source, place)
    os.chdir(place)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path[:0] = [str(place), str(place / "tests")]
    sys.dont_write_bytecode = True
    for name in LOADED:
        importlib.import_module(name)
    if not all(do_pass(tests) for tests in stages("")):
        sys.exit("the tests fail on the tree as it is; see why by pytest")
    with use_db(session, WorkDB.Mode.open) as work:
        for item in work.pending_work_items:
            (mutation,) = item.mutations
            operator = get_operator(mutation.operator_name)()
            where = mutation.module_path, operator, mutation.occurrence
            with use_mutation(*where):
                lives = all(map(do_pass, stages(mutation.module_path.stem)))
            outcome = TestOutcome.SURVIVED if lives else TestOutcome.KILLED
            work.set_result(
                item.job_id,
                WorkResult(worker_outcome=WorkerOutcome.NORMAL, test_outcome=outcome),
            )


def stages(module: str) -> list[list[str]]:
    """Return the files of tests to run on a module's mutant, a lot after another."""
    first = FIRST.get(module, (f"test_{module}.py",))
    files = {path.name: str(path) for path in sorted(TESTS.glob("test_*.py"))}
    others = files.keys() - LEFT_OUT - {*first}
    return [
        [files[name] for name in (*first, "test_values.py") if name in files],
        [files[name] for name in sorted(others - {"test_values.py"})],
    ]


def do_pass(tests: list[str]) -> bool:
    """Say whether tests pass on the tree as it is now, in a process of their own."""
    process = FORK.Process(target=_run, args=(tests,))
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode == 0


def _run(tests: list[str]) -> None:
    """End with what came of the tests, and say nothing."""
    with Path(os.devnull).open("w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        os._exit(pytest.main([*OPTIONS, *tests]))


def tell(sessions: list[Path], least: float) -> bool:
    """Show what lives and how many do not; say whether these are enough."""
    counts: dict[TestOutcome | None, Counter[str]] = {}
    for item, outcome in _outcomes(sessions):
        (mutation,) = item.mutations
        counts.setdefault(outcome, Counter())[mutation.module_path.name] += 1
        if outcome is TestOutcome.SURVIVED:
            print(f"{_place(item)}, line {mutation.start_pos[0]} lives")
    killed, lived = (
        counts.get(each, Counter())
        for each in (TestOutcome.KILLED, TestOutcome.SURVIVED)
    )
    for module in sorted(killed | lived):
        print(f"{module}: {killed[module]} killed, {lived[module]} lived")
    left = counts.get(None, Counter()).total()
    share = 100 * killed.total() / max(killed.total() + lived.total(), 1)
    print(f"{killed.total()} killed, {lived.total()} lived, {left} left: {share:.1f} %")
    return not left and share >= least


def _outcomes(sessions: list[Path]) -> Iterator[tuple[WorkItem, TestOutcome | None]]:
    """Yield every mutant with what came of it; None if it was not tried."""
    for session in sessions:
        with use_db(session, WorkDB.Mode.open) as work:
            results = dict(work.results)
            for item in work.work_items:
                result = results.get(item.job_id)
                yield item, result and result.test_outcome


if __name__ == "__main__":
    main()
