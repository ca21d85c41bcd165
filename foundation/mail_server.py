"""The server that sends mail: the section `mail` of the configuration file.

mail:
  host: smtp.example.org
  port: 587                            # optional: else 587, with tls 465
  security: starttls                   # optional: starttls (as without it), tls, or none for a server on this machine
  user: clinicmart                     # optional, with password
  password: "${SMTP_PASSWORD}"
  sender: clinicmart@example.org
  pages: "https://{tenant}.clinicmart.example.org"   # where people open the pages: links in mails lead there
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from foundation.errors import ConfigurationError
from foundation.exposure import is_loopback
from foundation.yaml_nodes import NodeReader, compose_file

SECURITY = ("starttls", "tls", "none")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}")
_PAGES = re.compile(r"https?://[A-Za-z0-9.{}:-]{1,200}/?")


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """`security` is one of SECURITY. `user` and `password` are empty for a server without sign-in. `pages` is the address of the pages,
    in which `{tenant}` stands for the tenant's id."""

    host: str
    port: int
    security: str
    sender: str
    pages: str
    user: str = ""
    password: str = field(default="", repr=False)


def parse_mail(reader: NodeReader, node: yaml.Node, key: str) -> MailServer:
    """Checks the section. Raises ConfigurationError naming file, line and key; never shows the password."""
    nodes = reader.mapping(node, key, ("host", "port", "security", "user", "password", "sender", "pages"))
    host = reader.text(reader.needed(nodes, node, key, "host"), f"{key}.host")
    security = reader.one_of(nodes["security"], f"{key}.security", SECURITY) if "security" in nodes else SECURITY[0]
    if security == "none" and not is_loopback(host):
        raise reader.fail(
            nodes["security"], f"{key}.security", "mail leaves this machine encrypted only: write starttls or tls"
        )
    if ("user" in nodes) != ("password" in nodes):
        raise reader.fail(node, key, "must have both user and password, or neither")
    user, password = (
        reader.text(nodes[name], f"{key}.{name}") if name in nodes else "" for name in ("user", "password")
    )
    # The standard library's client signs in with ASCII only.
    if not (user + password).isascii():
        raise reader.fail(node, key, "user and password must have ASCII characters only")
    sender_node = reader.needed(nodes, node, key, "sender")
    pages_node = reader.needed(nodes, node, key, "pages")
    return MailServer(
        host=host,
        port=reader.number(nodes["port"], f"{key}.port", 1, 65535) if "port" in nodes else _PORTS[security],
        security=security,
        sender=reader.matching(sender_node, f"{key}.sender", _ADDRESS, "an address such as clinicmart@example.org"),
        pages=reader.matching(pages_node, f"{key}.pages", _PAGES, "an address such as https://{tenant}.example.org"),
        user=user,
        password=password,
    )


def load_mail(file: Path) -> MailServer:
    """The section alone: who sends mail needs no secret of a feed. Raises ConfigurationError, also where there is no such section."""
    root = compose_file(file)
    reader = NodeReader(file)
    nodes = reader.mapping(root, "")
    if "mail" not in nodes:
        raise ConfigurationError(f"{file}: mail: is missing: name the server that sends mail")
    return parse_mail(reader, nodes["mail"], "mail")
