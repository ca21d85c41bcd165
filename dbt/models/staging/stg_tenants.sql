with source as (
    select * from {{ source('raw', 'tenant') }}{{ where_touched() }}
)

select
    tenant_id,
    name,
    time_zone,
    data_as_of_date
from source
