"""Makes the API's client (`clinicmart.api_client`) from the API's own OpenAPI document."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NOTE = "# Made by `make generate` from the OpenAPI document of the API. Do not edit.\n"
# The server checks these; a client's types stay readable without them.
_CHECKED_BY_SERVER = frozenset(
    {"title", "minLength", "maxLength", "minimum", "maximum", "pattern", "minProperties", "maxProperties"}
)
_LENGTHS = frozenset({"minItems", "maxItems"})
_ARROW, _JSON = "application/vnd.apache.arrow.stream", "application/json"
_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


def client_files(document: Mapping[str, Any], folder: Path) -> dict[Path, str]:
    """Path to text of the generated files in the folder of the client."""
    return {
        folder / "models.py": _formatted(f'{NOTE}"""Questions and answers of the API."""\n\n{_models(document)}'),
        folder / "client.py": _formatted(_client(document)),
    }


def _formatted(text: str) -> str:
    ruff = Path(sys.executable).with_name("ruff")
    for command in (("check", "--fix-only", "--quiet", "--exit-zero"), ("format", "--quiet")):
        # A name inside the package, so that its rules of style hold.
        ran = subprocess.run(  # noqa: S603 - our own executable
            [ruff, *command, "--stdin-filename", "clinicmart/generated.py", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = ran.stdout
    return text


def _models(document: Mapping[str, Any]) -> str:
    # Part of the tools of developers, not of an installation.
    from datamodel_code_generator import InputFileType, LiteralType, PythonVersion, generate
    from datamodel_code_generator.enums import DataModelType
    from datamodel_code_generator.format import Formatter

    with TemporaryDirectory() as folder:
        made = Path(folder) / "models.py"
        generate(
            json.dumps(_plain(document)),
            output=made,
            input_file_type=InputFileType.OpenAPI,
            output_model_type=DataModelType.PydanticV2BaseModel,
            target_python_version=PythonVersion.PY_311,
            use_annotated=True,
            use_schema_description=True,
            use_field_description=True,
            disable_timestamp=True,
            use_standard_collections=True,
            use_union_operator=True,
            collapse_root_models=True,
            enum_field_as_literal=LiteralType.All,
            strict_nullable=True,
            formatters=[Formatter.BUILTIN],
        )
        lines = made.read_text("utf-8").splitlines(keepends=True)
    # The first lines name the generator's file, which is gone.
    return "".join(line for line in lines if not line.startswith("#"))


def _plain(value: Any, *, are_names: bool = False) -> Any:
    """A schema without what the server checks. `are_names`: the keys are names of fields."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    left_out = (
        frozenset() if are_names else _CHECKED_BY_SERVER if "prefixItems" in value else _CHECKED_BY_SERVER | _LENGTHS
    )
    return {
        key: _plain(item, are_names=key == "properties" and not are_names)
        for key, item in value.items()
        if key not in left_out
    }


def _client(document: Mapping[str, Any]) -> str:
    lines = [
        NOTE.rstrip(),
        '"""The operations of the API."""',
        "",
        "from urllib.parse import quote",
        "",
        "from . import models",
        "from .connection import ARROW, CSV, Connection, Extract, Table",
        "",
        "",
        "class Client(Connection):",
        '    """One method for each operation. Each raises ApiProblemError where the API refuses."""',
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            lines += _operation(path, method.upper(), operation)
    return "\n".join(lines) + "\n"


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    name, asked = operation["operationId"], operation.get("parameters", [])
    forms = operation["responses"]["200"]["content"]
    required = [f"{item['name']}: {_type(item['schema'])}" for item in asked if item["required"]]
    further = [
        f"{item['name']}: {_type(item['schema'])} = {item['schema'].get('default')!r}"
        for item in asked
        if not item["required"]
    ]
    body = _body(operation)
    arguments = [
        "self",
        *required,
        *([f"question: models.{body}"] if body else []),
        *(["*", *further] if further else []),
    ]
    sent = ", body=question" if body else ""
    if further:
        names = [item["name"] for item in asked if not item["required"]]
        sent += ", parameters={" + ", ".join(f'"{item}": {item}' for item in names) + "}"
    for item in asked:
        if item["in"] == "path":
            path = path.replace(f"{{{item['name']}}}", f"{{quote({item['name']}, safe='')}}")
    place = f'f"{path}"' if "{" in path else f'"{path}"'
    about = str(operation["description"]).strip()
    if _JSON not in forms:
        yield from (
            "",
            f"    def {name}({', '.join(arguments)}) -> Extract:",
            f'        """{about}"""',
            f"        return self._file({place})",
        )
        return
    kind = forms[_JSON]["schema"]["$ref"].rsplit("/", 1)[-1]
    yield from (
        "",
        f"    def {name}({', '.join(arguments)}) -> models.{kind}:",
        f'        """{about}"""',
        f'        return self._model(models.{kind}, "{method}", {place}{sent})',
    )
    for form, word in (("text/csv", "csv"), (_ARROW, "arrow")):
        if form in forms:
            yield from (
                "",
                f"    def {name}_as_{word}({', '.join(arguments)}) -> Table:",
                f'        """As `{name}`; a part of the rows as {"CSV" if word == "csv" else "an Arrow stream"}."""',
                f'        return self._table("{method}", {place}, form={word.upper()}{sent})',
            )


def _body(operation: Mapping[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    return str(content[_JSON]["schema"]["$ref"]).rsplit("/", 1)[-1] if content else ""


def _type(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("anyOf", [schema])
    return " | ".join("None" if item["type"] == "null" else _TYPES[item["type"]] for item in kinds)
