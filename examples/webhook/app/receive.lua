local crypto = require "crypto"
local state = require "state"
local topics = require "topics"

-- Takes a delivery as GitHub signs it, and answers before anything is done about it: the work is the trigger's.
-- https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
return function(args, ctx)
    local secret = os.getenv "WEBHOOK_SECRET"
    if not secret then error("WEBHOOK_SECRET is not set: put it into .env") end
    local expected = "sha256=" .. crypto.hmac_sha256(ctx.body, secret)
    if not crypto.equal(expected, ctx.headers["x-hub-signature-256"] or "") then
        return response(401, {error = "the signature does not fit the body"})
    end
    local id = ctx.headers["x-github-delivery"]
    if not id then return response(400, {error = "X-GitHub-Delivery is missing"}) end
    -- a sender that heard no answer sends again: each delivery is one event
    if state.get("seen", id) then return response(200, {status = "known"}) end
    state.set("seen", id, true, {ttl = "7d"})
    topics.append("deliveries", {{key = id, value = {kind = ctx.headers["x-github-event"], body = args}}})
    return response(202, {status = "taken"})
end
