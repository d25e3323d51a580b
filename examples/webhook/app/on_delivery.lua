local state = require "state"

return function(delivery)
    if delivery.kind == "push" then
        state.add("pushes", delivery.body.repository.name, 1)
    end
end
