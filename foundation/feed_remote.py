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
        authorities: tls/hospital.pem        # optional: certificates to trust instead of the public ones
        hosts: [files.example.org]           # optional: further hosts, with port where it is not 443, that may see the token
        wait_minutes: 60                     # the longest that a run waits for the server before it leaves the rest to the next
        maximum_file_gib: 16                 # a larger file of an export, unpacked, is refused
        history_days: 1095                   # how far back the first searches reach (`{from}` of the profile)
        horizon_days: 180                    # how far ahead schedules are searched (`{until}`)
        keep_days: 30                        # how long what came is kept, sealed, once it is landed
    - name: adt
      kind: hl7v2
      listen:
        host: 0.0.0.0
        port: 2575
        certificate: tls/server.pem          # optional, with `key`: MLLP over TLS
        key: tls/server.key
        client_authorities: tls/senders.pem  # optional: senders must show a certificate signed by one of these
        receiving_application: CLINICMART    # optional: messages whose MSH-5 names another are refused

What they bring lies in the home's inbox until it is read, see `ingest.inbox.inbox`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from foundation.exposure import is_loopback
from foundation.yaml_nodes import NodeReader

EXPORTS = ("system", "patient", "group", "none")
_TEXTS = ("url", "client_id", "key", "key_id", "token_url", "export", "group", "authorities")
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?")
# Least and most of each number.
_NUMBERS = {
    "wait_minutes": (1, 7 * 24 * 60),
    "maximum_file_gib": (1, 1024),
    "history_days": (1, 36_500),
    "horizon_days": (1, 3_650),
    "keep_days": (1, 3_650),
}


@dataclass(frozen=True, kw_only=True)
class FhirServer:
    """A FHIR R4 server and how to sign in to it. `url` has no slash at its end; `key` and `authorities` are absolute paths."""

    url: str
    client_id: str | None = field(default=None, repr=False)
    key: Path | None = None
    key_id: str | None = None
    token_url: str | None = None
    export: str = "system"
    group: str | None = None
    authorities: Path | None = None
    hosts: tuple[str, ...] = ()
    wait_minutes: int = 60
    maximum_file_gib: int = 16
    history_days: int = 1095
    horizon_days: int = 180
    keep_days: int = 30


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A port on which senders of HL7 v2 call over MLLP. Paths are absolute; with `certificate` the link is TLS.

    On an address that other machines reach, TLS is required: by `certificate`, or by the proxy that `tls_proxy` names.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    client_authorities: Path | None = None
    receiving_application: str | None = None
    tls_proxy: str | None = None


def parse_server(reader: NodeReader, node: yaml.Node, key: str) -> FhirServer:
    """Checks `server` of a FHIR feed. Raises ConfigurationError naming file, line and key."""
    nodes = reader.mapping(node, key, (*_TEXTS, "hosts", *_NUMBERS))
    texts = {name: reader.text(nodes[name], f"{key}.{name}") for name in _TEXTS if name in nodes}
    reader.needed(nodes, node, key, "url")
    for name in ("url", "token_url"):
        if name in texts:
            _check_address(reader, nodes[name], f"{key}.{name}", texts[name])
    for key_given, other in (("client_id", "key"), ("key", "client_id"), ("key_id", "key"), ("token_url", "key")):
        if key_given in texts and other not in texts:
            raise reader.fail(nodes[key_given], f"{key}.{key_given}", f"needs {key}.{other}, too")
    export = texts.get("export", "system")
    if export not in EXPORTS:
        raise reader.fail(nodes["export"], f"{key}.export", f"{export!r} is not one of {', '.join(EXPORTS)}")
    if (export == "group") != ("group" in texts):
        raise reader.fail(node, f"{key}.group", "give group with export: group, and only then")
    return FhirServer(
        url=texts["url"].rstrip("/"),
        client_id=texts.get("client_id"),
        key=_file(reader, texts.get("key")),
        key_id=texts.get("key_id"),
        token_url=texts.get("token_url"),
        export=export,
        group=texts.get("group"),
        authorities=_file(reader, texts.get("authorities")),
        hosts=_hosts(reader, nodes["hosts"], f"{key}.hosts") if "hosts" in nodes else (),
        **{name: _number(reader, nodes[name], f"{key}.{name}", *_NUMBERS[name]) for name in _NUMBERS if name in nodes},
    )


def parse_listener(reader: NodeReader, node: yaml.Node, key: str) -> Listener:
    """Checks `listen` of an HL7 v2 feed. Raises ConfigurationError naming file, line and key."""
    names = ("host", "port", "certificate", "key", "client_authorities", "receiving_application", "tls_proxy")
    nodes = reader.mapping(node, key, names)
    texts = {name: reader.text(value, f"{key}.{name}") for name, value in nodes.items()}
    port_node = reader.needed(nodes, node, key, "port")
    if not texts["port"].isdigit() or not 1 <= int(texts["port"]) <= 65535:
        raise reader.fail(port_node, f"{key}.port", f"{texts['port']!r} is not a port (1 to 65535)")
    for key_given, other in (("certificate", "key"), ("key", "certificate"), ("client_authorities", "certificate")):
        if key_given in texts and other not in texts:
            raise reader.fail(nodes[key_given], f"{key}.{key_given}", f"needs {key}.{other}, too")
    host = texts.get("host", "127.0.0.1")
    if not is_loopback(host) and not texts.keys() & {"certificate", "tls_proxy"}:
        raise reader.fail(
            nodes["host"],
            f"{key}.host",
            f"other machines reach {host}: give {key}.certificate and {key}.key, or name in {key}.tls_proxy the proxy that "
            "ends TLS in front of it",
        )
    return Listener(
        host=host,
        port=int(texts["port"]),
        certificate=_file(reader, texts.get("certificate")),
        key=_file(reader, texts.get("key")),
        client_authorities=_file(reader, texts.get("client_authorities")),
        receiving_application=texts.get("receiving_application"),
        tls_proxy=texts.get("tls_proxy"),
    )


def _file(reader: NodeReader, text: str | None) -> Path | None:
    return None if text is None else reader.file.parent / Path(text).expanduser()


def _hosts(reader: NodeReader, node: yaml.Node, key: str) -> tuple[str, ...]:
    return tuple(
        reader.matching(item, key, _HOST, "a host such as files.example.org") for item in reader.items(node, key)
    )


def _number(reader: NodeReader, node: yaml.Node, key: str, least: int, most: int) -> int:
    text = reader.text(node, key)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise reader.fail(node, key, f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def _check_address(reader: NodeReader, node: yaml.Node, key: str, text: str) -> None:
    """A link that leaves the machine is encrypted: plain http only to this very machine."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise reader.fail(node, key, "must be an address such as https://fhir.example.org/r4")
    if parts.username or parts.password:
        raise reader.fail(node, key, "must hold no user name or password")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise reader.fail(node, key, "must begin with https, because it carries health data")
