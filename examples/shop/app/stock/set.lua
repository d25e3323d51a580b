local state = require "state"

return function(args)
    if type(args.left) ~= "number" or args.left < 0 then
        return nil, "left is a number from 0"
    end
    state.set("stock", args.sku, args.left)
    return {sku = args.sku, left = args.left}
end
