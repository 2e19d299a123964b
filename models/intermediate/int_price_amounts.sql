with

item_stretches as (

    select * from {{ ref('int_item_stretches') }}

),

prices as (

    select * from {{ ref('int_prices') }}

),

price_tiers as (

    select * from {{ ref('stg_stripe__price_tiers') }}

),

currency_options as (

    select * from {{ ref('stg_stripe__price_currency_options') }}

),

sold as (

    select
        price_id,
        currency,
        coalesce(quantity, 1) as quantity
    from item_stretches
    where price_id is not null
    group by price_id, currency, coalesce(quantity, 1)

),

-- How many of the price's lots a quantity is.
lots as (

    select
        price_id,
        transform_divide_by as lot,
        case when transform_round = 'up' then transform_divide_by - 1 else 0 end as tolerance
    from prices
    where transform_divide_by is not null

),

units as (

    select
        sold.price_id,
        sold.currency,
        sold.quantity,
        prices.usage_type,
        prices.billing_scheme,
        prices.tiers_mode,
        case
            when sold.currency = prices.currency then prices.exact_unit_amount_minor_units
            else currency_options.exact_unit_amount_minor_units
        end as unit_minor_units,
        case
            when lots.lot is null then sold.quantity
            else
                cast(
                    (sold.quantity + lots.tolerance - mod(sold.quantity + lots.tolerance, lots.lot)) / lots.lot
                    as int64
                )
        end as billed_quantity
    from sold
    inner join prices
        on sold.price_id = prices.price_id
    left join currency_options
        on
            sold.price_id = currency_options.price_id
            and sold.currency = currency_options.currency
    left join lots
        on sold.price_id = lots.price_id

),

bounded_tiers as (

    select
        *,
        coalesce(
            lag(up_to_quantity) over (partition by price_id, currency order by tier_position), 0
        ) as after_quantity
    from price_tiers

),

-- Graduated: each tier for what lies in it. Volume: the one tier that the whole quantity lies in.
tiered as (

    select
        units.price_id,
        units.currency,
        units.quantity,
        sum(
            case
                when units.quantity <= bounded_tiers.after_quantity then 0
                when units.tiers_mode = 'volume' and units.quantity > bounded_tiers.up_to_quantity then 0
                when units.tiers_mode = 'volume'
                    then
                        coalesce(bounded_tiers.unit_minor_units, 0) * units.quantity
                        + coalesce(bounded_tiers.flat_minor_units, 0)
                else
                    coalesce(bounded_tiers.unit_minor_units, 0)
                    * (
                        least(units.quantity, coalesce(bounded_tiers.up_to_quantity, units.quantity))
                        - bounded_tiers.after_quantity
                    )
                    + coalesce(bounded_tiers.flat_minor_units, 0)
            end
        ) as cycle_minor_units
    from units
    inner join bounded_tiers
        on
            units.price_id = bounded_tiers.price_id
            and units.currency = bounded_tiers.currency
    where units.billing_scheme = 'tiered'
    group by units.price_id, units.currency, units.quantity

)

select
    units.price_id,
    units.currency,
    units.quantity,
    units.usage_type,
    cast(
        case
            when units.usage_type = 'metered' then 0
            when units.billing_scheme = 'tiered' then tiered.cycle_minor_units
            else units.unit_minor_units * units.billed_quantity
        end as {{ exact_type() }}
    ) as cycle_minor_units
from units
left join tiered
    on
        units.price_id = tiered.price_id
        and units.currency = tiered.currency
        and units.quantity = tiered.quantity
