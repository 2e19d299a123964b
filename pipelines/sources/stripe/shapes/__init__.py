"""One row from either shape of a Stripe object: pure functions from parsed JSON to the fields that are kept.

What a function does not name is dropped here, before anything is stored: names, addresses, e-mail addresses,
descriptions and metadata. Values are passed on as they came (amounts in minor units, instants in seconds since
1970); `columns` checks them. An absent field is None, a sum over something that is no list of amounts UNREADABLE.
"""
