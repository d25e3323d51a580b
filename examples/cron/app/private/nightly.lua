local state = require "state"
local topics = require "topics"

-- What is done once a day. /private is for this machine alone; cron calls it:
--   5 3 * * * curl -fsS -X POST localhost:3000/private/nightly -d "{\"day\": \"$(date +\%F)\"}"
-- Called twice for one day, by two machines or by hand, it does it once.
return function(args)
    if type(args.day) ~= "string" or not args.day:match "^%d%d%d%d%-%d%d%-%d%d$" then
        return nil, "day: write it as 2026-01-31"
    end
    if state.get("nights", args.day) then return "done before" end
    state.set("nights", args.day, true, {ttl = "400d"})
    topics.append("reports", {{key = args.day, value = {day = args.day}}})
    return "begun"
end
