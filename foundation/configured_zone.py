"""The time zone of a tenant as the configuration of the home's runs says it, for programs that have no secrets of feeds."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from foundation.home import Home
from foundation.kept_files import read_configuration_record


def configured_time_zone(home: Home, tenant_id: str) -> str:
    """An IANA name; UTC where this machine does not have the configuration."""
    try:
        file = read_configuration_record(home.path).file
        # Not `load_config`: it needs the secrets of the feeds.
        configured = yaml.load(Path(file).read_text("utf-8"), Loader=yaml.CSafeLoader)
        return ZoneInfo(configured["tenants"][tenant_id]["time_zone"]).key
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, ZoneInfoNotFoundError):
        return "UTC"


def local_day(home: Home, tenant_id: str, now: datetime) -> date:
    """The day of a moment (UTC) where the tenant is."""
    return now.astimezone(ZoneInfo(configured_time_zone(home, tenant_id))).date()
