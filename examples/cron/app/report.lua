local state = require "state"

return function(args)
    return state.get("reports", args.day) or response(404, {error = "no report of " .. args.day})
end
