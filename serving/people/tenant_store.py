"""Tenants and what their plans and settings allow."""

from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select, update

from foundation.config import TENANT_ID
from foundation.deidentification import STRICT, Deidentification
from foundation.errors import AccessError, ConfigurationError
from serving.modules import MODULES
from serving.people.database import Database, check_tenant
from serving.people.principal import PLATFORM, TenantPolicy
from serving.people.tables import MODULE, TENANT

# Modules that a plan grants or not, and whether it does where it says nothing of them: a module that a release adds has no row.
_OF_PLANS = {module.name: module.is_granted for module in MODULES if not module.is_always_on}


def _modules(connection: Connection, tenant_id: str) -> tuple[tuple[str, bool, bool], ...]:
    """(module, is_granted, is_enabled) of a tenant, in the product's order."""
    module_rows = connection.execute(select(MODULE).where(MODULE.c.tenant_id == tenant_id)).mappings()
    rows = {row["module"]: (row["module"], row["is_granted"], row["is_enabled"]) for row in module_rows}
    return tuple(rows.get(name, (name, is_granted, True)) for name, is_granted in _OF_PLANS.items())


def _check_id(tenant_id: str) -> None:
    if not TENANT_ID.fullmatch(tenant_id):
        raise ConfigurationError(f"{tenant_id!r} is not a tenant id: a-z, 0-9 and -, a letter first")


class TenantStore(Database):
    """The tenants of the home, their modules and their rule of de-identification."""

    def ensure_tenant(self, tenant_id: str, name: str, deidentification: Deidentification | None = None) -> None:
        """Makes a tenant with the modules that plans grant by default, or gives an existing one its current name and, where one is
        given, rule of de-identification."""
        _check_id(tenant_id)
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
            self._insert_tenant(connection, tenant_id, name, chosen, "system")

    def create_tenant(self, tenant_id: str, name: str, *, actor: str) -> None:
        """Makes a tenant with the modules that plans grant by default and the strict rule of de-identification, which the configuration of
        its feeds can change. Raises ConfigurationError for what is not an id, and for an id that is taken."""
        _check_id(tenant_id)
        with self._writing() as connection:
            if (
                connection.execute(select(TENANT.c.tenant_id).where(TENANT.c.tenant_id == tenant_id)).first()
                is not None
            ):
                raise ConfigurationError(f"there is an organization {tenant_id} already; choose another id")
            self._insert_tenant(connection, tenant_id, name, STRICT, actor)

    def _insert_tenant(
        self, connection: Connection, tenant_id: str, name: str, rule: Deidentification, actor: str
    ) -> None:
        made = {"tenant_id": tenant_id, "name": name, "policy_version": 1, "created_at": datetime.now(UTC)}
        chosen = {"deidentification_rule": rule.rule, "smallest_cell": rule.smallest_cell}
        connection.execute(insert(TENANT).values(**made, **chosen))
        modules = [
            {"tenant_id": tenant_id, "module": module, "is_granted": is_granted, "is_enabled": True}
            for module, is_granted in _OF_PLANS.items()
        ]
        connection.execute(insert(MODULE), modules)
        self._audit(connection, tenant_id, actor, "tenant created", {"name": name})

    def created_at(self, tenant_id: str) -> datetime:
        """When the tenant was made (UTC). Raises AccessError for an unknown tenant."""
        with self._reading.connect() as connection:
            made: datetime | None = connection.execute(
                select(TENANT.c.created_at).where(TENANT.c.tenant_id == tenant_id)
            ).scalar()
        if made is None:
            raise AccessError("there is no such tenant")
        return made

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
            check_tenant(connection, tenant_id)
            if connection.execute(update(MODULE).where(mine).values(**values)).rowcount == 0:
                row = {"tenant_id": tenant_id, "module": module, "is_granted": _OF_PLANS[module], "is_enabled": True}
                connection.execute(insert(MODULE).values(**row | values))
            raised = {"policy_version": TENANT.c.policy_version + 1}
            connection.execute(update(TENANT).where(TENANT.c.tenant_id == tenant_id).values(**raised))
            self._audit(connection, tenant_id, actor, "module changed", {"module": module, **values})

    def requires_second_factor(self, tenant_id: str) -> bool:
        """Whether everybody of the tenant who signs in with a password must have a second factor."""
        with self._reading.connect() as connection:
            mine = TENANT.c.tenant_id == tenant_id
            return bool(connection.execute(select(TENANT.c.requires_second_factor).where(mine)).scalar())

    def require_second_factor(self, tenant_id: str, is_required: bool, *, actor: str) -> None:
        """Sets the rule. People without a second factor see nothing more until they have one, also in sessions that are open.

        Raises AccessError for an unknown tenant.
        """
        with self._writing() as connection:
            mine = TENANT.c.tenant_id == tenant_id
            if connection.execute(update(TENANT).where(mine).values(requires_second_factor=is_required)).rowcount == 0:
                raise AccessError("there is no such tenant")
            self._audit(connection, tenant_id, actor, "sign-in rule changed", {"second_factor_required": is_required})
