"""The unified model: one Open Data Contract Standard file per entity, and the loader that reads them.

`load_contracts()` gives every contract; each knows its Polars schema, its column types on DuckDB and
PostgreSQL, its rules and its references. Nothing here imports another package of this project.
"""

from data_contracts.model import (
    INPATIENT_CLASSES,
    LINEAGE,
    Column,
    Contract,
    ContractError,
    OrderRule,
    RequiredUnless,
    contract,
    load_contracts,
)

__all__ = [
    "INPATIENT_CLASSES",
    "LINEAGE",
    "Column",
    "Contract",
    "ContractError",
    "OrderRule",
    "RequiredUnless",
    "contract",
    "load_contracts",
]
