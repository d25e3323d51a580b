local topics = require "topics"

-- The outbox: a mail to be sent is an event. Its key is the address, so that one person's mails keep their order
-- and nobody else waits for them.
return function(order)
    topics.append("emails", {
        {key = order.email, value = {order = order.id, to = order.email, text = "Thank you for order " .. order.id}},
    })
end
