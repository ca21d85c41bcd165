"""A plugin of dbt-duckdb that gives dbt the encrypted warehouse of a home (`dbt/profiles.yml` names it).

The path of the warehouse and its key come from here and are not in the profile. dbt reuses what it parsed only if the profile is the same
text: so what was parsed for one home serves every other. And a key that is not in the profile is in no state of dbt.

The environment says: CLINICMART_WAREHOUSE (the file), CLINICMART_EXTENSIONS and CLINICMART_TMP (folders), and
DBT_ENV_SECRET_WAREHOUSE_KEY (hexadecimal; dbt keeps variables of this name out of its logs).
"""

import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection

from foundation import duck

ALIAS = "warehouse"


class Plugin(BasePlugin):
    """Attaches the warehouse as `warehouse`, before dbt-duckdb would attach what the profile names."""

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:  # noqa: ARG002 - the plugin's interface
        """The settings of every DuckDB connection of ours (`foundation.duck.settings`)."""
        config.update(duck.settings(_told("CLINICMART_EXTENSIONS"), _told("CLINICMART_TMP")))

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Attaches the file; dbt's own ATTACH IF NOT EXISTS then finds it there."""
        key = _told("DBT_ENV_SECRET_WAREHOUSE_KEY")
        duck.attach(conn, Path(_told("CLINICMART_WAREHOUSE")), alias=ALIAS, key=key)


def _told(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise RuntimeError(f"{variable} is not set; run dbt as clinicmart dbt, which sets it (clinicmart dbt --help)")
    return value
