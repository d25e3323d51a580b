local crypto = require "crypto"
local json = require "json"
local lu = require "luaunit"
local test = require "weir/test"

local function deliver(id, body, signature)
    return test.request("POST", "/hooks/github", body, {
        ["X-GitHub-Delivery"] = id,
        ["X-GitHub-Event"] = "push",
        ["X-Hub-Signature-256"] = signature or "sha256=" .. crypto.hmac_sha256(body, os.getenv "WEBHOOK_SECRET"),
    })
end

local PUSH = json.encode({repository = {name = "weir"}})

TestHooks = {}

function TestHooks.test_a_push_is_counted_by_the_trigger()
    lu.assertEquals(deliver("1", PUSH).status, 202)
    lu.assertEquals(test.request("GET", "/pushes/weir").json, {data = 0})
    test.run()
    lu.assertEquals(test.request("GET", "/pushes/weir").json, {data = 1})
end

function TestHooks.test_a_delivery_that_is_sent_again_is_one_event()
    lu.assertEquals(deliver("1", PUSH).status, 202)
    lu.assertEquals(deliver("1", PUSH).json, {status = "known"})
    lu.assertEquals(#test.events "deliveries", 1)
end

function TestHooks.test_a_body_that_was_changed_on_the_way_is_refused()
    local of_another = "sha256=" .. crypto.hmac_sha256("{}", os.getenv "WEBHOOK_SECRET")
    lu.assertEquals(deliver("1", PUSH, of_another).status, 401)
    lu.assertEquals(deliver("1", PUSH, "").status, 401)
    lu.assertEquals(test.events "deliveries", {})
end
