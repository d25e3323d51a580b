local flow = require "flow"
local state = require "state"
local topics = require "topics"

-- One invocation is one transaction: the number, the stock, the order and the event are there together or not at all,
-- and two orders for the last packet cannot both get it.
return function(args)
    if type(args.amount) ~= "number" or args.amount < 1 then
        return nil, "amount is a number from 1"
    end
    local id = tostring(state.incr("counters", "orders", 1))

    local price, refused = flow.try("prices/quote", {sku = args.sku, amount = args.amount})
    if not price then
        return nil, refused.error
    end

    local left = state.get("stock", args.sku) or 0
    if left < args.amount then
        -- The order number above is given back with everything else.
        return nil, {sold_out = args.sku, left = left}
    end
    state.set("stock", args.sku, left - args.amount)

    local order = {id = id, sku = args.sku, amount = args.amount, cents = price.cents, email = args.email}
    state.set("orders", id, order)
    topics.append("orders", {{key = id, value = order}})
    return response(201, {id = id, cents = order.cents})
end
