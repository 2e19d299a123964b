with

invoice_lines as (

    select * from {{ source('stripe', 'invoice_lines') }}

)

select
    id as invoice_line_id,
    invoice_id,
    line_type,
    subscription_id,
    subscription_item_id,
    invoice_item_id,
    price_id,
    product_id,
    quantity,
    currency,
    amount as amount_minor_units,
    discount_amount as discount_minor_units,
    tax as tax_minor_units,
    inclusive_tax as inclusive_tax_minor_units,
    is_proration,
    period_start_at,
    period_end_at,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from invoice_lines
