local state = require "state"

-- Runs on each event of `greetings`. What it writes is committed together with the trigger's position, so each
-- greeting counts once, whatever crashes.
return function(greeting)
    state.add("greeted", greeting.name, 1)
end
