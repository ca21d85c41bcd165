"""Who there is, who may sign in, and what was done: `access.sqlite` of a home.

Of a session only the SHA-256 of its token is kept, and its rights are looked up on every request, so that a change of
role or a lock takes effect at once. Sign-in answers the same, and takes the same time, for an unknown user and for a
wrong password. Every sign-in and every change of rights is an audit row.
"""

import hmac
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil
from pathlib import Path

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from foundation.config import TENANT_ID
from foundation.deidentification import STRICT, Deidentification
from foundation.errors import AccessError, ConfigurationError
from foundation.faults import naming
from foundation.home import Home
from foundation.keys import Keys
from serving.modules import MODULES
from serving.people import audit_anchor, audit_log, passwords, sessions
from serving.people.audit_anchor import anchor_of
from serving.people.audit_log import AuditCheck, AuditRow
from serving.people.principal import PLATFORM, Principal, Role, TenantPolicy
from serving.people.roster import Person, everybody
from serving.people.tables import ACCESS, AUDIT, MODULE, TENANT, USER, USER_UNIT, open_engine
from serving.people.targets import Targets
from serving.people.work_entries import Entries

# Modules that a plan grants or not, and whether it does where it says nothing of them: a module that a release adds has no row.
_OF_PLANS = {module.name: module.is_granted for module in MODULES if not module.is_always_on}
REFUSED = "The user name or the password is wrong."
THROTTLED = "Too many attempts. Wait {seconds} seconds and try again."
ONE_TIME_LIFE = timedelta(days=3)
RESET_LIFE = timedelta(hours=24)
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,190}")


@lru_cache(maxsize=16)
def _engine(path: Path) -> tuple[Engine, bool]:
    """The engine of a database, and whether it was of an earlier release when this process opened it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path):
        was_older = ACCESS.bring_up_to_date(path)
    return open_engine(path), was_older


def _modules(connection: Connection, tenant_id: str) -> tuple[tuple[str, bool, bool], ...]:
    """(module, is_granted, is_enabled) of a tenant, in the product's order."""
    module_rows = connection.execute(select(MODULE).where(MODULE.c.tenant_id == tenant_id)).mappings()
    rows = {row["module"]: (row["module"], row["is_granted"], row["is_enabled"]) for row in module_rows}
    return tuple(rows.get(name, (name, is_granted, True)) for name, is_granted in _OF_PLANS.items())


def _email(value: str) -> str:
    return value.strip().lower()


class AccessStore:
    """The access database of one home. Thread-safe; open it as often as you like."""

    def __init__(self, engine: Engine, key: bytes, anchor: Path) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._key, self._anchor = key, anchor

    @classmethod
    def open(cls, home: Home) -> "AccessStore":
        """Opens, and on first use makes, the access database of a home; brings one of an earlier release up to date.

        Raises ConfigurationError for a database of a later release.
        """
        # The key first: a home that holds a database and no key has lost it.
        key = Keys.of(home).derive("audit")
        engine, was_older = _engine(home.access)
        store = cls(engine, key, anchor_of(home))
        if was_older:
            store.begin_anchor()
        return store

    def begin_anchor(self) -> None:
        """Earlier releases wrote no heads of the audit outside the database: the first one is that of today."""
        with self._reading.connect() as connection:
            head = audit_log.head(connection)
        if head is not None and not self._anchor.exists():
            audit_anchor.write(self._anchor, self._key, head)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock; what it adds to the audit is anchored once it is kept."""
        with self._engine.begin() as connection:
            yield connection
            head = connection.info.pop("audit head", None)
        if head is not None:
            audit_anchor.write(self._anchor, self._key, head)

    @property
    def targets(self) -> Targets:
        """What tenants want figures to be."""
        return Targets(reading=self._reading, writing=self._writing, audit=self._audit)

    def work_entries(self, keys: Keys, tenant_id: str, list_name: str) -> Entries:
        """What people noted on the rows of a worklist."""
        return Entries(
            keys=keys,
            tenant_id=tenant_id,
            list_name=list_name,
            reading=self._reading,
            writing=self._writing,
            audit=self._audit,
        )

    # Tenants and modules

    def ensure_tenant(self, tenant_id: str, name: str, deidentification: Deidentification | None = None) -> None:
        """Makes a tenant with the modules that plans grant by default, or gives an existing one its current name and, where one is
        given, rule of de-identification."""
        if not TENANT_ID.fullmatch(tenant_id):
            raise ConfigurationError(f"{tenant_id!r} is not a tenant id: a-z, 0-9 and -, a letter first")
        with self._writing() as connection:
            is_me = TENANT.c.tenant_id == tenant_id
            chosen = deidentification or STRICT
            rule = {"deidentification_rule": chosen.rule, "smallest_cell": chosen.smallest_cell}
            existing = connection.execute(select(TENANT).where(is_me)).mappings().first()
            if existing is not None:
                if existing["name"] != name:
                    connection.execute(update(TENANT).where(is_me).values(name=name))
                if deidentification is not None and rule != {column: existing[column] for column in rule}:
                    version = existing["policy_version"] + 1
                    connection.execute(update(TENANT).where(is_me).values(policy_version=version, **rule))
                    self._audit(connection, tenant_id, "system", "de-identification changed", rule)
                return
            now = datetime.now(UTC)
            made = {"tenant_id": tenant_id, "name": name, "policy_version": 1, "created_at": now}
            connection.execute(insert(TENANT).values(**made, **rule))
            connection.execute(
                insert(MODULE),
                [
                    {"tenant_id": tenant_id, "module": name, "is_granted": is_granted, "is_enabled": True}
                    for name, is_granted in _OF_PLANS.items()
                ],
            )
            self._audit(connection, tenant_id, "system", "tenant created", {"name": name})

    def tenants(self) -> tuple[tuple[str, str], ...]:
        """(tenant_id, name) of every tenant, by name; the platform's own is not among them."""
        with self._reading.connect() as connection:
            query = select(TENANT.c.tenant_id, TENANT.c.name).where(TENANT.c.tenant_id != PLATFORM)
            return tuple((row.tenant_id, row.name) for row in connection.execute(query.order_by(TENANT.c.name)))

    def policy(self, tenant_id: str) -> TenantPolicy:
        """What the tenant's plan and settings allow. Raises AccessError for an unknown tenant."""
        with self._reading.connect() as connection:
            tenant = connection.execute(select(TENANT).where(TENANT.c.tenant_id == tenant_id)).mappings().first()
            if tenant is None:
                raise AccessError("there is no such tenant")
            modules = _modules(connection, tenant_id)
        rule = Deidentification(
            rule=tenant["deidentification_rule"] or STRICT.rule,
            smallest_cell=tenant["smallest_cell"] or STRICT.smallest_cell,
        )
        usable = {module for module, is_granted, is_enabled in modules if is_granted and is_enabled}
        return TenantPolicy(
            tenant_id=tenant_id, version=tenant["policy_version"], modules=frozenset(usable), deidentification=rule
        )

    def modules(self, tenant_id: str) -> tuple[tuple[str, bool, bool], ...]:
        """(module, is_granted, is_enabled) of a tenant, in the product's order."""
        with self._reading.connect() as connection:
            return _modules(connection, tenant_id)

    def set_module(
        self, tenant_id: str, module: str, *, granted: bool | None = None, enabled: bool | None = None, actor: str
    ) -> None:
        """Grants a module by plan, or switches it; every scope of the tenant gets a new hash."""
        if module not in _OF_PLANS:
            raise ConfigurationError(f"{module!r} is not a module; known are {', '.join(_OF_PLANS)}")
        values = {k: v for k, v in {"is_granted": granted, "is_enabled": enabled}.items() if v is not None}
        if not values:
            return
        with self._writing() as connection:
            mine = (MODULE.c.tenant_id == tenant_id) & (MODULE.c.module == module)
            if connection.execute(select(TENANT.c.tenant_id).where(TENANT.c.tenant_id == tenant_id)).first() is None:
                raise AccessError("there is no such tenant")
            if connection.execute(update(MODULE).where(mine).values(**values)).rowcount == 0:
                row = {"tenant_id": tenant_id, "module": module, "is_granted": _OF_PLANS[module], "is_enabled": True}
                connection.execute(insert(MODULE).values(**row | values))
            raised = {"policy_version": TENANT.c.policy_version + 1}
            connection.execute(update(TENANT).where(TENANT.c.tenant_id == tenant_id).values(**raised))
            self._audit(connection, tenant_id, actor, "module changed", {"module": module, **values})

    # People

    def ensure_admin(self, tenant_id: str) -> str | None:
        """Makes `admin@<tenant>` where the tenant has none; returns its one-time password then, else None."""
        with self._reading.connect() as connection:
            if self._user(connection, tenant_id, f"admin@{tenant_id}") is not None:
                return None
        return self.add_user(
            tenant_id, f"admin@{tenant_id}", display_name="Administrator", role=Role.ORGANIZATION_ADMIN
        )

    def add_user(
        self,
        tenant_id: str,
        email: str,
        *,
        display_name: str,
        role: Role | str,
        password: str | None = None,
        unit_ids: Sequence[str] = (),
        provider_id: str | None = None,
        must_change: bool = True,
        actor: str = "system",
    ) -> str:
        """Adds a person and returns the password: a new one-time password where none is given.

        Raises ConfigurationError for a user that exists, an unknown role or a weak password, AccessError for an
        unknown tenant.
        """
        password = secrets.token_urlsafe(12) if password is None else password
        address = _email(email)
        if not _EMAIL.fullmatch(address):
            raise ConfigurationError(f"{email!r} is not a user name of the form name@place")
        principal = Principal(
            tenant_id=tenant_id,
            email=address,
            display_name=display_name,
            role=self._role(tenant_id, role),
            unit_ids=tuple(sorted(set(unit_ids))),
            provider_id=provider_id,
        )
        if not must_change:
            passwords.check_strength(password, address, [display_name])
        kept = passwords.hashed(password)
        with self._writing() as connection:
            if connection.execute(select(TENANT).where(TENANT.c.tenant_id == tenant_id)).first() is None:
                raise AccessError("there is no such tenant")
            if self._user(connection, tenant_id, address) is not None:
                raise ConfigurationError(f"{address} exists already")
            connection.execute(
                insert(USER).values(
                    tenant_id=tenant_id,
                    email=address,
                    display_name=display_name,
                    role=principal.role.value,
                    provider_id=provider_id,
                    password_hash=kept,
                    must_change_password=must_change,
                    one_time_until=datetime.now(UTC) + ONE_TIME_LIFE if must_change else None,
                    is_active=True,
                    created_at=datetime.now(UTC),
                )
            )
            self._assign(connection, principal)
            detail = {"user": address, "role": principal.role.value, "units": list(principal.unit_ids)}
            self._audit(connection, tenant_id, actor, "user added", detail)
        return password

    def change_rights(
        self,
        tenant_id: str,
        email: str,
        *,
        role: Role | str | None = None,
        unit_ids: Sequence[str] | None = None,
        provider_id: str | None = None,
        is_active: bool | None = None,
        actor: str,
    ) -> Principal | None:
        """Changes what is given and ends the person's sessions for good. Returns None for a person now locked."""
        address = _email(email)
        values: dict[str, object] = {}
        if role is not None:
            values["role"] = self._role(tenant_id, role).value
        if provider_id is not None:
            values["provider_id"] = provider_id
        if is_active is not None:
            values["is_active"] = is_active
        with self._writing() as connection:
            row = self._user(connection, tenant_id, address)
            if row is None:
                raise AccessError("there is no such user")
            if values:
                connection.execute(update(USER).where(self._is(tenant_id, address)).values(**values))
            if unit_ids is not None:
                connection.execute(
                    delete(USER_UNIT).where(USER_UNIT.c.tenant_id == tenant_id, USER_UNIT.c.email == address)
                )
                self._assign(
                    connection,
                    Principal(
                        tenant_id=tenant_id,
                        email=address,
                        display_name=row["display_name"],
                        role=Role(row["role"]),
                        unit_ids=tuple(sorted(set(unit_ids))),
                    ),
                )
            detail = {"user": address, **values} | ({} if unit_ids is None else {"units": sorted(set(unit_ids))})
            # A session begun under other rights must not come back to life, whatever is changed later.
            sessions.end_all(connection, tenant_id, address)
            self._audit(connection, tenant_id, actor, "rights changed", detail)
            changed = self._user(connection, tenant_id, address)
            return self._principal(connection, changed) if changed is not None and changed["is_active"] else None

    def principal(self, tenant_id: str, user: str) -> Principal:
        """A person by user name, for the command line. Raises AccessError for an unknown or locked user."""
        with self._reading.connect() as connection:
            row = self._user(connection, tenant_id, _email(user))
            if row is None or not row["is_active"]:
                raise AccessError("there is no such user in this tenant")
            return self._principal(connection, row)

    def users(self, tenant_id: str) -> tuple[Principal, ...]:
        """The tenant's people that may sign in, by user name."""
        query = select(USER).where(USER.c.tenant_id == tenant_id, USER.c.is_active).order_by(USER.c.email)
        with self._reading.connect() as connection:
            return tuple(self._principal(connection, row) for row in connection.execute(query).mappings().all())

    def everybody(self, tenant_id: str) -> tuple[Person, ...]:
        """The tenant's people by user name, also those who may not sign in."""
        with self._reading.connect() as connection:
            return everybody(connection, tenant_id)

    # Sign-in

    def authenticate(
        self, tenant_id: str, email: str, password: str, *, address: str = "", browser_mark: str = ""
    ) -> Principal:
        """Checks a user name and a password. Raises AccessError; the message does not say which of them was wrong.

        `address` is where the attempt comes from, `browser_mark` what `browser_mark()` gave the browser at an earlier sign-in.
        """
        user = _email(email)
        is_known_browser = hmac.compare_digest(browser_mark, passwords.browser_mark(self._key, tenant_id, user))
        held = passwords.limits(self._key, tenant_id, user, address, is_known_browser=is_known_browser)
        with self._writing() as connection:
            wait = passwords.begin_attempt(connection, held)
            row = self._user(connection, tenant_id, user)
            actor = user if row is not None else "unknown"
            if wait:
                self._audit(connection, tenant_id, actor, "sign-in", {"throttled": True}, result="refused")
        if wait:
            raise AccessError(THROTTLED.format(seconds=ceil(wait.total_seconds())))
        is_right = passwords.matches(password, None if row is None else row["password_hash"])
        with self._writing() as connection:
            # Looked up again: the check took a while, and a lock in between counts.
            row = self._user(connection, tenant_id, user)
            is_current = row is not None and row["is_active"] and not self._has_expired(row)
            if is_right and row is not None and is_current:
                passwords.forget_failures(connection, held)
                self._audit(connection, tenant_id, user, "sign-in", {})
                return self._principal(connection, row)
            self._audit(connection, tenant_id, actor, "sign-in", {"throttled": False}, result="refused")
        raise AccessError(REFUSED)

    def browser_mark(self, principal: Principal) -> str:
        """What a browser keeps once it has signed in: strangers' failures do not slow it."""
        return passwords.browser_mark(self._key, principal.tenant_id, principal.email)

    @staticmethod
    def _has_expired(row: RowMapping) -> bool:
        """Whether the password was a one-time one whose time is over."""
        until = row["one_time_until"]
        return bool(row["must_change_password"] and until is not None and until < datetime.now(UTC))

    def must_change_password(self, principal: Principal) -> bool:
        """Whether the person still has the password someone else gave them."""
        with self._reading.connect() as connection:
            row = self._user(connection, principal.tenant_id, principal.email)
            return row is not None and bool(row["must_change_password"])

    def set_password(
        self, tenant_id: str, email: str, password: str, *, actor: str | None = None, must_change: bool = False
    ) -> None:
        """Sets a password and ends the person's sessions.

        Raises ConfigurationError for a weak one, and for the one-time password that it is to replace.
        """
        user = _email(email)
        with self._reading.connect() as connection:
            row = self._user(connection, tenant_id, user)
        if row is None:
            raise AccessError("there is no such user in this tenant")
        if not must_change:
            passwords.check_strength(password, user, [row["display_name"]])
            if row["must_change_password"] and passwords.matches(password, row["password_hash"]):
                raise ConfigurationError("the one-time password cannot be kept; choose another one")
        values = {
            "password_hash": passwords.hashed(password),
            "must_change_password": must_change,
            "one_time_until": datetime.now(UTC) + ONE_TIME_LIFE if must_change else None,
            "reset_hash": None,
            "reset_until": None,
        }
        with self._writing() as connection:
            connection.execute(update(USER).where(self._is(tenant_id, user)).values(**values))
            sessions.end_all(connection, tenant_id, user)
            self._audit(connection, tenant_id, actor or user, "password set", {"user": user})

    def change_password(self, principal: Principal, current: str, password: str, *, address: str = "") -> None:
        """Replaces a password by a person who knows it; every session ends. Raises AccessError where it is not the current one."""
        self.authenticate(principal.tenant_id, principal.email, current, address=address)
        self.set_password(principal.tenant_id, principal.email, password)

    def begin_reset(self, tenant_id: str, email: str, *, actor: str) -> str:
        """A token of a link with which a person chooses a new password, once and within RESET_LIFE; sessions end."""
        user, token = _email(email), secrets.token_urlsafe(32)
        values = {"reset_hash": sessions.token_hash(token), "reset_until": datetime.now(UTC) + RESET_LIFE}
        with self._writing() as connection:
            if connection.execute(update(USER).where(self._is(tenant_id, user)).values(**values)).rowcount == 0:
                raise AccessError("there is no such user in this tenant")
            sessions.end_all(connection, tenant_id, user)
            self._audit(connection, tenant_id, actor, "password reset", {"user": user})
        return token

    def person_of_reset(self, token: str) -> Principal | None:
        """Whose link it is, or None where it was used, is too old or was never given."""
        mine = USER.c.reset_hash == sessions.token_hash(token)
        with self._reading.connect() as connection:
            row = connection.execute(select(USER).where(mine, USER.c.is_active)).mappings().first()
            if row is None or row["reset_until"] is None or row["reset_until"] < datetime.now(UTC):
                return None
            return self._principal(connection, row)

    # Sessions

    def create_session(self, principal: Principal, *, address: str = "", browser: str = "") -> str:
        """A random token for the browser's cookie; the store keeps its hash only."""
        with self._writing() as connection:
            return sessions.create(connection, principal.tenant_id, principal.email, address, browser)

    def session(self, token: str) -> Principal | None:
        """The person of a session with the rights of this moment; None where it ended or is unknown."""
        with self._reading.connect() as connection:
            row = sessions.find(connection, token)
            user = None if row is None else self._user(connection, row["tenant_id"], row["email"])
            if row is None or user is None or not user["is_active"]:
                return None
            principal = self._principal(connection, user)
        if sessions.is_to_be_noted(row):
            with self._writing() as connection:
                sessions.note_use(connection, row)
        return principal

    def open_sessions(self, principal: Principal) -> tuple[sessions.OpenSession, ...]:
        """Where the person is signed in, the newest use first."""
        with self._reading.connect() as connection:
            return sessions.open_sessions(connection, principal.tenant_id, principal.email)

    def session_counts(self) -> dict[str, int]:
        """Tenant to the number of its open sessions, 0 where there is none."""
        with self._reading.connect() as connection:
            counts = sessions.counts(connection)
        return {tenant_id: counts.get(tenant_id, 0) for tenant_id, _ in self.tenants()}

    def end_session(self, token: str) -> None:
        """Signs out; nothing happens for an unknown token."""
        with self._writing() as connection:
            row = sessions.end(connection, token)
            if row is not None:
                self._audit(connection, row["tenant_id"], row["email"], "sign-out", {})

    def end_sessions(self, principal: Principal) -> int:
        """Signs a person out everywhere; returns how many sessions ended."""
        with self._writing() as connection:
            number = sessions.end_all(connection, principal.tenant_id, principal.email)
            self._audit(connection, principal.tenant_id, principal.email, "sign-out everywhere", {"sessions": number})
            return number

    # Audit

    def audit(
        self,
        tenant_id: str,
        actor: str,
        action: str,
        scope_hash: str = "",
        detail: Mapping[str, object] | None = None,
        result: str = "done",
        further: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """Appends one audit row, and one for each detail of `further`, in one step. Details hold names, counts, identifiers of
        units and tokens, never PHI."""
        with self._writing() as connection:
            for each in (detail or {}, *further):
                self._audit(connection, tenant_id, actor, action, each, scope_hash=scope_hash, result=result)

    def audit_rows(
        self,
        tenant_id: str,
        *,
        action: str | None = None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 200,
        offset: int = 0,
    ) -> tuple[AuditRow, ...]:
        """A tenant's audit rows, the newest first: of one action or actor, from `since` on and before `until`."""
        wanted = [AUDIT.c.tenant_id == tenant_id]
        wanted += [] if action is None else [AUDIT.c.action == action]
        wanted += [] if actor is None else [AUDIT.c.actor == actor]
        wanted += [] if since is None else [AUDIT.c.at >= since]
        wanted += [] if until is None else [AUDIT.c.at < until]
        rows = select(AUDIT).where(*wanted).order_by(AUDIT.c.sequence.desc()).limit(limit).offset(offset)
        with self._reading.connect() as connection:
            return tuple(audit_log.row_of(row) for row in connection.execute(rows).mappings())

    def audit_actions(self, tenant_id: str) -> tuple[str, ...]:
        """The actions that stand in a tenant's audit log, in order."""
        actions = select(AUDIT.c.action).where(AUDIT.c.tenant_id == tenant_id).distinct().order_by(AUDIT.c.action)
        with self._reading.connect() as connection:
            return tuple(connection.execute(actions).scalars())

    def audit_between(
        self,
        tenant_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        session: str | None = None,
    ) -> tuple[AuditRow, ...]:
        """A tenant's audit rows of some time, the oldest first: of one person, one session, or all. `until` is not included."""
        conditions = [AUDIT.c.tenant_id == tenant_id]
        conditions += [AUDIT.c.at >= since] if since is not None else []
        conditions += [AUDIT.c.at < until] if until is not None else []
        conditions += [AUDIT.c.actor == _email(actor)] if actor is not None else []
        conditions += [AUDIT.c.session == session] if session is not None else []
        with self._reading.connect() as connection:
            rows = connection.execute(select(AUDIT).where(*conditions).order_by(AUDIT.c.sequence)).mappings()
            return tuple(audit_log.row_of(row) for row in rows)

    def verify_audit(self) -> AuditCheck:
        """Recomputes the whole chain of all tenants, and holds it against the heads that were written outside the database."""
        with self._engine.begin() as connection:
            if not audit_log.has_tables(connection):
                return AuditCheck(rows=0, first_bad=1, problem="the tables of the audit are gone")
            check = audit_log.verify(connection, self._key)
            problem = audit_anchor.contradiction(connection, self._anchor, self._key) if check.is_intact else ""
            return replace(check, first_bad=check.rows + 1, problem=problem) if problem else check

    def check_audit_anchor(self) -> str:
        """What the newest heads outside the database contradict; empty where nothing. Quick, for every start."""
        with self._reading.connect() as connection:
            if not audit_log.has_tables(connection):
                return "the tables of the audit are gone"
            return audit_anchor.contradiction(connection, self._anchor, self._key)

    # Helpers

    def _audit(
        self,
        connection: Connection,
        tenant_id: str,
        actor: str,
        action: str,
        detail: Mapping[str, object],
        *,
        scope_hash: str = "",
        result: str = "done",
    ) -> None:
        connection.info["audit head"] = audit_log.append(
            connection,
            self._key,
            tenant_id=tenant_id,
            actor=actor,
            action=action,
            scope_hash=scope_hash,
            detail=detail,
            result=result,
        )

    @staticmethod
    def _is(tenant_id: str, email: str):  # type: ignore[no-untyped-def]
        return (USER.c.tenant_id == tenant_id) & (USER.c.email == email)

    def _user(self, connection: Connection, tenant_id: str, email: str) -> RowMapping | None:
        return connection.execute(select(USER).where(self._is(tenant_id, email))).mappings().first()

    @staticmethod
    def _principal(connection: Connection, row: RowMapping) -> Principal:
        mine = (USER_UNIT.c.tenant_id == row["tenant_id"]) & (USER_UNIT.c.email == row["email"])
        units: list[str] = list(connection.execute(select(USER_UNIT.c.service_unit_id).where(mine)).scalars())
        return Principal(
            tenant_id=row["tenant_id"],
            email=row["email"],
            display_name=row["display_name"],
            role=Role(row["role"]),
            unit_ids=tuple(sorted(units)),
            provider_id=row["provider_id"],
        )

    @staticmethod
    def _assign(connection: Connection, principal: Principal) -> None:
        if principal.unit_ids:
            who = {"tenant_id": principal.tenant_id, "email": principal.email}
            connection.execute(insert(USER_UNIT), [who | {"service_unit_id": unit} for unit in principal.unit_ids])

    @staticmethod
    def _role(tenant_id: str, role: Role | str) -> Role:
        try:
            checked = Role(role)
        except ValueError:
            raise ConfigurationError(f"{role!r} is not a role; known are {', '.join(Role)}") from None
        if (checked is Role.SUPER_ADMIN) != (tenant_id == PLATFORM):
            raise ConfigurationError(f"a super_admin belongs to the tenant {PLATFORM!r}, and other users do not")
        return checked
