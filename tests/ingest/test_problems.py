"""The registry of problems and the code that gives them: each knows the other's slugs."""

import ast
import csv
import re
from collections.abc import Iterator
from pathlib import Path

from clinicmart.generate import PLAUSIBILITY_CHECKS
from ingest.interface import NOT_OF_THE_KIND
from ingest.landing.payments import CONTRADICTS
from ingest.landing.plausible_dates import DATE, ORDER
from ingest.load.partial_rows import ENTITIES
from ingest.problems import problem_code, problems, with_codes
from tests.support import ROOT

_SLUG = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_ENDING = re.compile(r"(_[a-z0-9]+)+")
# The contract gate names a broken rule by these words.
_RULES = {"type", "required", "valid_values", "pattern", "range", "order"}
_LEVELS = ("transaction", "group", "interchange")


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    """The modules of `ingest` but those of the load, whose reasons are steps of its reconciliation and not problems."""
    for path in sorted((ROOT / "ingest").rglob("*.py")):
        if "load" not in path.relative_to(ROOT).parts:
            yield path, ast.parse(path.read_text("utf-8"))


def _takers_of_a_reason() -> dict[str, set[tuple[int, int, int]]]:
    """Functions and classes of `ingest` that take a reason: its place, and the least and greatest number of arguments."""
    takers = {"problem_code": {(0, 1, 1)}}
    for _, tree in _modules():
        for node in ast.walk(tree):
            for item in [node, *(node.body if isinstance(node, ast.ClassDef) else [])]:
                if not isinstance(item, ast.FunctionDef):
                    continue
                names = [argument.arg for argument in item.args.args if argument.arg != "self"]
                if "reason" in names:
                    name = node.name if item.name == "__init__" and isinstance(node, ast.ClassDef) else item.name
                    least = len(names) - len(item.args.defaults)
                    takers.setdefault(name, set()).add((names.index("reason"), least, len(names)))
    return takers


def _texts(node: ast.AST) -> Iterator[str]:
    """The texts an expression may give. A text with a variable beginning is given as `*` and its ending."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.Constant):
        yield f"*{node.values[-1].value}"
    elif isinstance(node, ast.Call | ast.IfExp | ast.Attribute):
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)


def _pairs(node: ast.AST) -> list[ast.AST]:
    """The reasons among pairs of a reason and its explanation: returned, assigned together, or kept as a `problem`."""
    if isinstance(node, ast.FunctionDef) and node.returns is not None and "tuple[str, str" in ast.unparse(node.returns):
        returned = [item.value for item in ast.walk(node) if isinstance(item, ast.Return)]
        return [value.elts[0] for value in returned if isinstance(value, ast.Tuple)]
    if not isinstance(node, ast.Assign):
        return []
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Name) and target.id == "reason":
        return [value]
    if not isinstance(value, ast.Tuple):
        return []
    if isinstance(target, ast.Attribute) and target.attr == "problem":
        return [value.elts[0]]
    names = [getattr(item, "id", "") for item in target.elts] if isinstance(target, ast.Tuple) else []
    return [value.elts[names.index("reason")]] if "reason" in names else []


def _given(tree: ast.Module, takers: dict[str, set[tuple[int, int, int]]]) -> Iterator[tuple[int, str]]:
    """Line and slug of every reason that a module gives: as an argument, as a constant, or beside the sentence that explains it."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        expressions: list[ast.AST] = []
        if isinstance(node, ast.Call):
            expressions += [item.value for item in node.keywords if item.arg == "reason"]
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            fitting = [place for place, least, most in takers.get(name, ()) if least <= len(node.args) <= most]
            expressions += [node.args[place] for place in fitting]
        else:
            expressions = _pairs(node)
        for expression in expressions:
            if isinstance(expression, ast.Name) and expression.id in constants:
                expression = ast.Constant(constants[expression.id])
            for text in _texts(expression):
                shape = _ENDING if text[:1] == "*" else _SLUG
                if shape.fullmatch(text.removeprefix("*")):
                    yield node.lineno, text


def _all_given() -> dict[str, str]:
    """Every slug that the code of `ingest` gives, with a place that gives it."""
    takers = _takers_of_a_reason()
    slugs = dict.fromkeys({*_RULES, *NOT_OF_THE_KIND, CONTRADICTS, DATE, ORDER}, "a constant of ingest")
    slugs |= {f"{entity}_incomplete": "ingest/load/partial_rows.py" for entity in ENTITIES}
    for path, tree in _modules():
        for line, text in _given(tree, takers):
            for slug in [f"{level}{text[1:]}" for level in _LEVELS] if text[:1] == "*" else [text]:
                slugs[slug] = f"{path.relative_to(ROOT)}:{line}"
    return slugs


def test_the_registry_has_every_slug_that_the_code_gives() -> None:
    assert {slug: place for slug, place in _all_given().items() if slug not in problems()} == {}


def test_the_code_gives_every_slug_of_the_registry() -> None:
    assert sorted(set(problems()) - set(_all_given())) == []


def test_codes_are_lasting_and_used_once() -> None:
    with PLAUSIBILITY_CHECKS.open(encoding="utf-8", newline="") as file:
        codes = [problem.code for problem in problems().values()] + [row["code"] for row in csv.DictReader(file)]
    assert len(set(codes)) == len(codes)
    assert [code for code in codes if not re.fullmatch(r"CM-[A-Z0-9]+-\d{3}", code)] == []
    # These are printed in letters to senders: a change would break what people wrote down.
    assert [problem_code(slug) for slug in ("segment_count_wrong", "msh_unreadable", "not_json", "required")] == [
        "CM-X12-012",
        "CM-HL7-003",
        "CM-FHIR-003",
        "CM-GATE-002",
    ]


def test_every_problem_says_what_happened_and_what_to_do() -> None:
    silent = [p.slug for p in problems().values() if not (p.meaning.endswith(".") and p.remedy.endswith("."))]
    assert silent == []


def test_a_slug_of_another_release_is_shown_without_a_code() -> None:
    rows = [{"reason": "not_json", "rows": 2}, {"reason": "of_an_old_home", "rows": 1}]
    assert [(row["code"], row["rows"]) for row in with_codes(rows)] == [("CM-FHIR-003", 2), ("", 1)]
