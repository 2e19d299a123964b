with

invoice_lines as (

    select * from {{ ref('stg_stripe__invoice_lines') }}
    where
        subscription_id is not null
        and period_start_at is not null
        and period_end_at > period_start_at

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}
    where not is_deleted

),

prices as (

    select * from {{ ref('int_prices') }}

)

-- Licensed items are billed before their period, metered ones after it.
select
    invoice_lines.invoice_line_id,
    invoice_lines.invoice_id,
    invoices.status as invoice_status,
    invoices.created_at as invoiced_at,
    invoice_lines.subscription_id,
    coalesce(
        invoice_lines.subscription_item_id,
        concat(invoice_lines.subscription_id, '/', coalesce(invoice_lines.price_id, ''))
    ) as subscription_item_id,
    invoice_lines.price_id,
    invoice_lines.currency,
    invoice_lines.quantity,
    invoice_lines.is_proration,
    invoice_lines.is_proration and invoice_lines.amount_minor_units < 0 as is_given_back,
    invoice_lines.period_start_at,
    invoice_lines.period_end_at,
    invoice_lines.amount_minor_units,
    invoice_lines.discount_minor_units,
    coalesce(invoice_lines.inclusive_tax_minor_units, 0) as inclusive_tax_minor_units
from invoice_lines
inner join invoices
    on invoice_lines.invoice_id = invoices.invoice_id
left join prices
    on invoice_lines.price_id = prices.price_id
where
    coalesce(prices.usage_type, 'licensed') = 'licensed'
    and (invoice_lines.is_proration or invoices.created_at < invoice_lines.period_end_at)
    and (
        invoice_lines.line_type = 'subscription_item'
        or (invoice_lines.is_proration and invoice_lines.price_id is not null)
    )
