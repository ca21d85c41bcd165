"""The layout of the house: who may import whom, and that nothing of this workplace leaks into it."""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("clinicmart", "dagster_project", "dashboards", "data_contracts", "foundation", "ingest", "serving")

# Package -> the packages of ours it may import. The design's arrows, plus `foundation` below everything.
MAY_IMPORT = {
    "foundation": set(),
    "data_contracts": set(),
    "ingest": {"foundation", "data_contracts"},
    "serving": {"foundation", "data_contracts"},
    "dashboards": {"foundation", "serving"},
    "dagster_project": {"foundation", "data_contracts", "ingest", "serving"},
    "clinicmart": set(PACKAGES) - {"clinicmart"},
}
# Libraries that belong to one package alone.
ONLY_IN = {
    "streamlit": {"dashboards"},
    "dagster": {"dagster_project"},
    "dagster_dbt": {"dagster_project"},
    "metricflow": {"serving"},
    "great_expectations": {"data_contracts"},
    "openlineage": {"dagster_project"},
}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    assert _modules(package), f"{package} has no modules"
    for path in _modules(package):
        ours = _imports(path) & set(PACKAGES) - {package}
        assert ours <= MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {sorted(ours - MAY_IMPORT[package])}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_where_it_belongs(library: str) -> None:
    users = {
        path.relative_to(ROOT).parts[0]
        for package in PACKAGES
        for path in _modules(package)
        if library in _imports(path)
    }
    assert users == ONLY_IN[library]


def _rooms() -> dict[str, str]:
    """Module to its room: the folder for modules of a folder inside a package, the module itself at a package's top."""
    rooms = {}
    for package in PACKAGES:
        for path in _modules(package):
            if path.name != "__init__.py":
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                folder = path.parent.relative_to(ROOT).as_posix()
                rooms[name] = folder if "/" in folder else name
    return rooms


def _imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


def test_the_reader_is_the_only_way_to_open_files() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in _modules(package)
        # `close_all` and `date_columns` open nothing.
        if re.search(r"open_files import .*\bshared\b|\bimport open_files|open_files\.shared", path.read_text("utf-8"))
    }
    assert users == {"serving/reader.py"}


def test_folders_import_each_other_in_one_direction() -> None:
    rooms = _rooms()
    below: dict[str, set[str]] = {room: set() for room in rooms.values()}
    for module, room in rooms.items():
        imported = _imported_modules(ROOT / (module.replace(".", "/") + ".py"))
        below[room] |= {rooms[name] for name in imported if name in rooms} - {room}
    # static_order raises CycleError, which names the rooms of the cycle.
    assert set(TopologicalSorter(below).static_order()) == set(below)


# Phrases of the private English that this project once had. A reader whose second language is English stumbles over them.
PRIVATE_ENGLISH = re.compile(
    r"\btold by\b|\bthat is none\b|\bof (its|their) own\b|\bis no date\b|\bwhoever\b|\bhowever many\b|\bthat is no (?!longer)"
    r"|\banew\b|\bonce more\b|\bat last\b(?! read)|\bwhatever\b|\bwhichever\b|\blets? go\b|\bnothing is said\b",
    re.IGNORECASE,
)
PROSE = ("*.py", "*.md", "*.yaml", "*.yml", "*.sql", "*.csv")
ROOMS_IN_PLAIN_ENGLISH = (*PACKAGES, "benchmarks", "dbt", "docs", "tests")


@pytest.mark.parametrize("room", ROOMS_IN_PLAIN_ENGLISH)
def test_plain_english(room: str) -> None:
    places = [
        f"{path.relative_to(ROOT)}:{number} {match[0]}"
        for pattern in PROSE
        for path in sorted((ROOT / room).rglob(pattern))
        if not {"target", "dbt_packages"} & set(path.relative_to(ROOT).parts) and path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if (match := PRIVATE_ENGLISH.search(line))
    ]
    assert places == [], "say it in plain words: short sentences; subject, verb, object"


def test_html_is_markup_and_no_f_string() -> None:
    # An f-string escapes nothing. `Markup("<p>{}</p>").format(value)` escapes every value that is not Markup itself.
    tag = re.compile(r"</?(?!style\b)[a-z][a-z0-9]*[ >]")
    places = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _modules("dashboards")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.JoinedStr)
        and any(isinstance(part, ast.Constant) and tag.search(str(part.value)) for part in node.values)
    ]
    assert places == []


# Names that do not say what they hold. A local variable, a parameter or a field says what it holds.
EMPTY_NAMES = {"found", "given", "it", "known", "of", "one", "rest", "said", "told"}
# Folders and files that follow the rule, below the top of the project.
ROOMS_WITH_NAMES = (*PACKAGES, "benchmarks", "tests/ingest")
# A name that is a key of files in a home.
STORED_NAMES = {("ingest/receive/fhir/state.py", "said")}


def _bound_names(path: Path) -> list[tuple[int, str]]:
    """Line and name of every variable, parameter and attribute that a module binds."""
    names: list[tuple[int, str]] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append((node.lineno, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.append((node.lineno, node.attr))
        elif isinstance(node, ast.arg):
            names.append((node.lineno, node.arg))
    return names


@pytest.mark.parametrize("room", ROOMS_WITH_NAMES)
def test_names_say_what_they_hold(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py")) if (ROOT / room).is_dir() else [ROOT / room]
    assert files, f"{room} is no longer there"
    places = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in files
        for line, name in _bound_names(path)
        if name in EMPTY_NAMES and (str(path.relative_to(ROOT)), name) not in STORED_NAMES
    ]
    assert places == [], "rename by what the variable holds"


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(p.relative_to(ROOT)) for package in PACKAGES for p in _modules(package) if not ast.get_docstring(_tree(p))
    ]
    assert silent == []


def test_dbt_holds_no_python() -> None:
    assert list((ROOT / "dbt").rglob("*.py")) == []


def test_dagster_files_do_not_postpone_annotations() -> None:
    # Postponed annotations break the `context` parameter of assets (dagster#26837).
    for path in _modules("dagster_project"):
        assert "from __future__ import annotations" not in path.read_text("utf-8"), path


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_requirements_are_pinned_with_hashes_and_name_no_index(name: str) -> None:
    listed = (ROOT / f"{name}.in").read_text("utf-8").splitlines()
    direct = [line for line in listed if line and not line.startswith(("#", "-c requirements.txt"))]
    locked = (ROOT / f"{name}.txt").read_text("utf-8").replace("\\\n", " ").splitlines()
    pins = [line for line in locked if line and not line.startswith("#")]
    assert len(pins) > 50
    assert [line for line in (*direct, *pins) if "==" not in line or line.startswith("-") or "://" in line] == []
    assert [line for line in pins if "--hash=sha256:" not in line] == []
    assert {pin_of(line) for line in direct} - {pin_of(line) for line in pins} == set(), "run make lock"


def pin_of(line: str) -> tuple[str, str]:
    """Name and version of a line of requirements."""
    name, _, rest = line.partition("==")
    return canonicalize_name(name.split("[")[0].strip()), rest.split()[0]
