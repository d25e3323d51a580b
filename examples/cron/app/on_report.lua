local state = require "state"

-- The work itself: it is tried again until it succeeds, and takes effect once.
return function(report)
    state.set("reports", report.day, {day = report.day, text = "all is well"})
end
