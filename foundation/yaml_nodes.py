"""Walking a YAML file by its nodes, so that every complaint has a file, a line and a key.

The configuration file and the profiles are read with it: unknown keys are errors, keys given twice too, and secrets
come from `${ENV}`.
"""

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import yaml

from foundation.errors import ConfigurationError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _nearest(name: str, names: Sequence[str]) -> str:
    """The known name that is most like a wrong one, as the middle of a message; empty where none is like it."""
    near = get_close_matches(name, names, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def compose_file(path: Path) -> yaml.Node:
    """The root node of a YAML file. Raises ConfigurationError naming file and line."""
    try:
        root: yaml.Node | None = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{path}:{line}: is not YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{path}: is not YAML: it holds characters that YAML does not allow") from None
    if root is None:
        raise ConfigurationError(f"{path}:1: the file is empty")
    return root


class NodeReader:
    """Walks YAML nodes, so that every complaint has a line."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lines_of_keys: dict[int, int] = {}

    def fail(self, node: yaml.Node, key: str, problem: str) -> ConfigurationError:
        """The complaint about a node; about a mapping or list that begins below its key, at the line of the key."""
        line = node.start_mark.line
        if isinstance(node, yaml.CollectionNode):
            line = self._lines_of_keys.get(id(node), line)
        return ConfigurationError(f"{self.file}:{line + 1}: {key}: {problem}")

    def mapping(self, node: yaml.Node, key: str, allowed: tuple[str, ...] | None = None) -> dict[str, yaml.Node]:
        """Key to node of a mapping. Raises ConfigurationError with file and line for another node, an unknown key (not in
        `allowed`) and a key that is given twice."""
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, key, "must be a mapping")
        nodes: dict[str, yaml.Node] = {}
        for name_node, value in node.value:
            name = str(name_node.value)
            if allowed is not None and name not in allowed:
                problem = f"unknown key{_nearest(name, allowed)}; known are {', '.join(allowed)}"
                raise self.fail(name_node, f"{key}.{name}" if key else name, problem)
            if name in nodes:
                raise self.fail(name_node, f"{key}.{name}" if key else name, "is given twice")
            nodes[name] = value
            self._lines_of_keys[id(value)] = name_node.start_mark.line
        return nodes

    def text(self, node: yaml.Node, key: str) -> str:
        """A text that is not empty, with `${NAME}` replaced by the environment variable. Raises ConfigurationError with file and
        line for another node and a variable that is not set."""
        if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null" or not node.value:
            raise self.fail(node, key, "must be a text")

        def value_of(match: re.Match[str]) -> str:
            value = os.environ.get(match.group(1))
            if value is None:
                raise self.fail(node, key, f"environment variable {match.group(1)} is not set")
            return value

        return _VARIABLE.sub(value_of, node.value)

    def texts(self, node: yaml.Node, key: str) -> tuple[str, ...]:
        """A list of texts. Raises ConfigurationError as `items` and `text`."""
        return tuple(self.text(item, key) for item in self.items(node, key))

    def items(self, node: yaml.Node, key: str) -> list[yaml.Node]:
        """The nodes of a list. Raises ConfigurationError with file and line for another node."""
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(node, key, "must be a list")
        return list(node.value)

    def needed(self, nodes: dict[str, yaml.Node], node: yaml.Node, key: str, name: str) -> yaml.Node:
        """The node of a key that must be given. Raises ConfigurationError with file and line of the mapping if it is missing."""
        if name not in nodes:
            raise self.fail(node, f"{key}.{name}" if key else name, "is missing")
        return nodes[name]

    def matching(self, node: yaml.Node, key: str, pattern: re.Pattern[str], what: str) -> str:
        """A text that matches a pattern; `what` describes the pattern in the error."""
        value = self.text(node, key)
        if not pattern.fullmatch(value):
            raise self.fail(node, key, f"{value!r} is not {what}")
        return value

    def one_of(self, node: yaml.Node, key: str, values: Sequence[str]) -> str:
        """A text that is one of `values`."""
        text = self.text(node, key)
        if text not in values:
            raise self.fail(node, key, f"{text!r} is not one of {', '.join(values)}{_nearest(text, values)}")
        return text

    def yes_or_no(self, node: yaml.Node, key: str) -> bool:
        """True for yes and true, false for no and false."""
        return self.one_of(node, key, ("yes", "true", "no", "false")) in ("yes", "true")

    def number(self, node: yaml.Node, key: str, least: int, most: int) -> int:
        """A whole number between `least` and `most`. Raises ConfigurationError with file and line for another value."""
        text = self.text(node, key)
        if not text.isdecimal() or not least <= int(text) <= most:
            raise self.fail(node, key, f"{text!r} is not a whole number from {least} to {most}")
        return int(text)
