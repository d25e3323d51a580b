local lu = require "luaunit"
local test = require "weir/test"

TestHello = {}

function TestHello.test_a_greeting_is_answered_and_becomes_an_event()
    local answer = test.request("POST", "/hello/ada")
    lu.assertEquals(answer.json, {data = "Hello, ada!"})
    local events = test.events("greetings")
    lu.assertEquals(#events, 1)
    lu.assertEquals(events[1].value, {name = "ada"})
end

function TestHello.test_greetings_are_counted_by_the_trigger()
    test.call("hello", {name = "ada"})
    test.call("hello", {name = "ada"})
    lu.assertEquals(test.call("greetings", {name = "ada"}), {name = "ada", times = 0})
    test.run()
    lu.assertEquals(test.call("greetings", {name = "ada"}), {name = "ada", times = 2})
end
