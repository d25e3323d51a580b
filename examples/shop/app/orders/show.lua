local state = require "state"

return function(args)
    local order = state.get("orders", args.id)
    if not order then
        return response(404, {error = "no order " .. args.id})
    end
    order.mail = state.get("mails", args.id) or "waiting"
    return order
end
