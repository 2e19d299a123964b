with

bridge as (

    select
        invoice_id,
        subscription_id,
        max(cycle_amount) as cycle_amount,
        max(invoiced_amount) as invoiced_amount,
        sum(difference_amount) as difference
    from {{ ref('mrr_invoice_bridge') }}
    group by invoice_id, subscription_id

),

lines as (

    select
        invoice_lines.invoice_id,
        invoice_lines.subscription_id,
        sum(
            invoice_lines.amount_minor_units
            - invoice_lines.discount_minor_units
            - invoice_lines.inclusive_tax_minor_units
        ) as minor_units,
        max(
            case currencies.exponent
                when 0 then 1
                when 2 then 100
                when 3 then 1000
            end
        ) as minor_units_a_unit
    from {{ ref('int_licensed_lines') }} as invoice_lines
    inner join {{ ref('currencies') }} as currencies
        on invoice_lines.currency = currencies.currency
    group by invoice_lines.invoice_id, invoice_lines.subscription_id

)

select
    bridge.*,
    lines.minor_units
from bridge
inner join lines
    on
        bridge.invoice_id = lines.invoice_id
        and bridge.subscription_id = lines.subscription_id
where
    bridge.cycle_amount + bridge.difference != bridge.invoiced_amount
    or bridge.invoiced_amount * lines.minor_units_a_unit != lines.minor_units
