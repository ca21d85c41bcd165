"""Feeds that are not files here: a FHIR server that is asked, a port on which HL7 v2 senders call.

    - name: ehr
      kind: fhir
      profile: epic
      server:
        url: https://fhir.example.org/api/FHIR/R4
        client_id: "${EHR_CLIENT_ID}"        # SMART Backend Services; without it the server is asked without a token
        key: keys/ehr.pem                    # private key in PEM: RSA signs RS384, EC P-384 signs ES384
        key_id: "2026-11"                    # `kid` of the public key that the server knows
        token_url: https://...               # optional: else the server's SMART configuration says it
        export: group                        # system, patient, group or none (paged search alone)
        group: "e3iabhmS8rsueyz7vaimuiaSmfGvi.QwjVXJANlPOgR83"
    - name: adt
      kind: hl7v2
      listen:
        host: 0.0.0.0
        port: 2575
        certificate: tls/server.pem          # optional, with `key`: MLLP over TLS
        key: tls/server.key
        client_authorities: tls/senders.pem  # optional: senders must show a certificate signed by one of these

What they bring lies in the home's inbox until it is read, see `ingest.inbox`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from foundation.yaml_nodes import NodeReader

EXPORTS = ("system", "patient", "group", "none")


@dataclass(frozen=True, kw_only=True)
class FhirServer:
    """A FHIR R4 server and how to sign in to it. `url` has no slash at its end; `key` is the path of a private key."""

    url: str
    client_id: str | None = field(default=None, repr=False)
    key: Path | None = None
    key_id: str | None = None
    token_url: str | None = None
    export: str = "system"
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A port on which senders of HL7 v2 call over MLLP. Paths are absolute; with `certificate` the link is TLS."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    client_authorities: Path | None = None


def parse_server(reader: NodeReader, node: yaml.Node, key: str) -> FhirServer:
    """Checks `server` of a FHIR feed. Raises ConfigurationError naming file, line and key."""
    names = ("url", "client_id", "key", "key_id", "token_url", "export", "group")
    found = reader.mapping(node, key, names)
    given = {name: reader.text(value, f"{key}.{name}") for name, value in found.items()}
    reader.needed(found, node, key, "url")
    for name in ("url", "token_url"):
        if name in given:
            _check_address(reader, found[name], f"{key}.{name}", given[name])
    for one, other in (("client_id", "key"), ("key", "client_id"), ("key_id", "key"), ("token_url", "key")):
        if one in given and other not in given:
            raise reader.fail(found[one], f"{key}.{one}", f"needs {key}.{other} beside it")
    export = given.get("export", "system")
    if export not in EXPORTS:
        raise reader.fail(found["export"], f"{key}.export", f"{export!r} is not one of {', '.join(EXPORTS)}")
    if (export == "group") != ("group" in given):
        raise reader.fail(node, f"{key}.group", "an export of a group names it, and no other export does")
    return FhirServer(
        url=given["url"].rstrip("/"),
        client_id=given.get("client_id"),
        key=_file(reader, given.get("key")),
        key_id=given.get("key_id"),
        token_url=given.get("token_url"),
        export=export,
        group=given.get("group"),
    )


def parse_listener(reader: NodeReader, node: yaml.Node, key: str) -> Listener:
    """Checks `listen` of an HL7 v2 feed. Raises ConfigurationError naming file, line and key."""
    found = reader.mapping(node, key, ("host", "port", "certificate", "key", "client_authorities"))
    given = {name: reader.text(value, f"{key}.{name}") for name, value in found.items()}
    port_node = reader.needed(found, node, key, "port")
    if not given["port"].isdigit() or not 1 <= int(given["port"]) <= 65535:
        raise reader.fail(port_node, f"{key}.port", f"{given['port']!r} is not a port (1 to 65535)")
    for one, other in (("certificate", "key"), ("key", "certificate"), ("client_authorities", "certificate")):
        if one in given and other not in given:
            raise reader.fail(found[one], f"{key}.{one}", f"needs {key}.{other} beside it")
    return Listener(
        host=given.get("host", "127.0.0.1"),
        port=int(given["port"]),
        certificate=_file(reader, given.get("certificate")),
        key=_file(reader, given.get("key")),
        client_authorities=_file(reader, given.get("client_authorities")),
    )


def _file(reader: NodeReader, text: str | None) -> Path | None:
    return None if text is None else reader.file.parent / Path(text).expanduser()


def _check_address(reader: NodeReader, node: yaml.Node, key: str, text: str) -> None:
    """A link that leaves the machine is encrypted: plain http only to this very machine."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise reader.fail(node, key, "must be an address such as https://fhir.example.org/r4")
    if parts.username or parts.password:
        raise reader.fail(node, key, "must hold no user name or password")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise reader.fail(node, key, "must begin with https: what it carries is health data")
