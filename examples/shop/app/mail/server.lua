local state = require "state"

-- Breaks and repairs the mail server.
return function(args)
    if args.state ~= "up" and args.state ~= "down" then
        return nil, "state is up or down"
    end
    state.set("mail", "server", args.state)
    return args.state
end
