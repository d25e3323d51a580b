local state = require "state"

return function(args)
    return {name = args.name, times = state.get("greeted", args.name) or 0}
end
