"""The clock of the sample: the local day of any moment, also in the nights in which clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from clinicmart.sample.catalogue import FURTHER_ZONES, TENANTS
from clinicmart.sample.clock import Calendar, Zones, day_number

ZONES = sorted(
    {zone for tenant in TENANTS for zone in (tenant.time_zone, tenant.second_zone)}
    | {zone for first, second, *_ in FURTHER_ZONES for zone in (first, second)}
)
# Clocks of most zones change on the second day.
NIGHTS = (date(2026, 3, 7), date(2026, 7, 4), date(2026, 10, 31))


@pytest.mark.parametrize("first", NIGHTS, ids=str)
def test_the_local_day_is_right_at_every_quarter_of_an_hour(first: date) -> None:
    zones = Zones(ZONES, Calendar.until(date(2026, 11, 30)))
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    moments = [begin + timedelta(minutes=15 * number, seconds=second) for number in range(3 * 96) for second in (0, -1)]
    seconds = np.array([int(moment.timestamp()) for moment in moments])
    for place, name in enumerate(ZONES):
        right = [day_number(moment.astimezone(ZoneInfo(name)).date()) for moment in moments]
        assert zones.local_day(seconds, place).tolist() == right, name
