local lu = require "luaunit"
local test = require "weir/test"

TestNightly = {}

function TestNightly.test_a_day_is_done_once_however_often_it_is_asked_for()
    lu.assertEquals(test.call("private/nightly", {day = "2026-01-31"}), "begun")
    lu.assertEquals(test.call("private/nightly", {day = "2026-01-31"}), "done before")
    lu.assertEquals(#test.events "reports", 1)
end

function TestNightly.test_the_report_is_there_when_the_trigger_has_run()
    test.call("private/nightly", {day = "2026-01-31"})
    lu.assertEquals(test.request("GET", "/reports/2026-01-31").status, 404)
    test.run()
    lu.assertEquals(test.request("GET", "/reports/2026-01-31").json.data.text, "all is well")
end

function TestNightly.test_what_is_no_day_is_refused()
    local result, failure = test.call("private/nightly", {day = "yesterday"})
    lu.assertNil(result)
    lu.assertStrContains(failure.error, "day: write it as")
end
