local topics = require "topics"

return function(args)
    -- The event is durable before the answer leaves; if this function failed, there would be no event.
    topics.append("greetings", {{key = args.name, value = {name = args.name}}})
    return "Hello, " .. args.name .. "!"
end
