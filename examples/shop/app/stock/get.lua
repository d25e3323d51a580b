local state = require "state"

return function(args)
    return {sku = args.sku, left = state.get("stock", args.sku) or 0}
end
