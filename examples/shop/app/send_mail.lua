local state = require "state"

-- Stands for a call to a mail server, which can be down. Raising is a failed attempt: nothing is written, the event is
-- parked, later mails to the same address line up behind it, and those to others go on.
return function(mail)
    if state.get("mail", "server") == "down" then
        error("the mail server does not answer", 0)
    end
    state.set("mails", mail.order, "sent")
end
