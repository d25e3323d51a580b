local state = require "state"

return function(args)
    return state.get("pushes", args.repository) or 0
end
