with source as (
    select * from {{ source('raw', 'tenant') }}
)

select
    tenant_id,
    name,
    time_zone,
    data_as_of_date
from source
