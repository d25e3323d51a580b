---@meta time

--- Clocks, dates, zones and durations.
---
--- A time is a number: seconds since 1970-01-01 00:00 UTC, with a fraction where there is one, to the microsecond. A zone
--- is a name as `"Europe/Berlin"`, or an offset as `"+02:00"`; without one it is UTC. The zones come with Weir and do not
--- depend on the machine.
---
--- In a trigger `time.now`, `time.now_ms`, `time.now_ns`, `os.time` and `os.date` tell the time of the event that is
--- handled: each run of it sees the same, so that a replay writes what the first run wrote. `time.wall` is always the real
--- clock. See `weir.determinism` in the configuration.
---
--- ```lua
--- local time = require "time"
---
--- local ts = time.parse("2026-11-21 18:30", "2006-01-02 15:04", "Europe/Berlin")
--- print(ts) --> 1795282200
--- print(time.rfc3339(ts)) --> 2026-11-21T17:30:00Z
--- print(time.rfc3339(ts, "Asia/Tokyo")) --> 2026-11-22T02:30:00+09:00
--- print(time.format(ts, time.RFC1123)) --> Sat, 21 Nov 2026 17:30:00 UTC
--- print(time.strftime(ts, "%d.%m.%y %H:%M", "Europe/Berlin")) --> 21.11.26 18:30
--- print(time.rfc3339(time.add(ts, { months = 3, days = 1 }))) --> 2027-02-22T17:30:00Z
--- print(time.duration("1h30m"), time.format_duration(5400)) --> 5400 1h 30m
--- print(time.parse("tomorrow", time.DateOnly) == nil) --> true
--- ```
---@class time
---@field RFC3339 string a layout: `2006-01-02T15:04:05Z07:00`
---@field RFC3339Nano string a layout: `2006-01-02T15:04:05.999999999Z07:00`
---@field RFC1123 string a layout: `Mon, 02 Jan 2006 15:04:05 MST`
---@field RFC1123Z string a layout: `Mon, 02 Jan 2006 15:04:05 -0700`
---@field Kitchen string a layout: `3:04PM`
---@field DateTime string a layout: `2006-01-02 15:04:05`
---@field DateOnly string a layout: `2006-01-02`
---@field TimeOnly string a layout: `15:04:05`
local time = {}

--- What a calendar and a clock show: the fields of `os.date("*t")`, and more.
---@class time.Date
---@field year integer
---@field month integer from 1
---@field day integer from 1
---@field hour integer
---@field min integer
---@field sec integer
---@field ms integer
---@field wday integer 1 is Sunday
---@field yday integer from 1
---@field isdst boolean
---@field zone string its abbreviation then: `CET`
---@field offset integer seconds east of UTC

--- The time in whole seconds; in a trigger the event's.
---@return integer ts
function time.now() end

--- The time in milliseconds; in a trigger the event's.
---@return integer ms
function time.now_ms() end

--- The time in nanoseconds; in a trigger the event's. A number of Lua holds it to about 256 of them.
---@return number ns
function time.now_ns() end

--- The real clock, in seconds with a fraction, in a trigger too.
---@return number ts
function time.wall() end

--- Waits. Others run meanwhile, and it counts for the wall time of the invocation, not for its CPU time.
---@param ms number
function time.sleep(ms) end

--- A time as text, in a layout of Go's: the layout is written as the time `Mon Jan 2 15:04:05 MST 2006` is to be.
---@param ts number
---@param layout string
---@param zone? string
---@return string
function time.format(ts, layout, zone) end

--- Reads a time in a layout of Go's. A text without an offset is taken to be in `zone`.
---@param text string
---@param layout string
---@param zone? string
---@return number? ts
---@return string? err
function time.parse(text, layout, zone) end

--- A time as text, in a format of strftime: `%Y-%m-%d %H:%M:%S`.
---@param ts number
---@param format string
---@param zone? string
---@return string
function time.strftime(ts, format, zone) end

--- Reads a time in a format of strptime. A text without an offset (`%z`) is taken to be in `zone`.
---@param text string
---@param format string
---@param zone? string
---@return number? ts
---@return string? err
function time.strptime(text, format, zone) end

--- A time as RFC 3339 has it, with a fraction where there is one.
---@param ts number
---@param zone? string
---@return string
function time.rfc3339(ts, zone) end

--- Reads a time of RFC 3339 or ISO 8601, with its offset.
---@param text string
---@return number? ts
---@return string? err
function time.parse_rfc3339(text) end

--- What a calendar and a clock show in a zone.
---@param ts number
---@param zone? string
---@return time.Date
function time.date(ts, zone) end

--- The time that a calendar and a clock show in a zone. `year` must be there; the first day and midnight are what is
--- missing. A time that the clock skips is moved behind the gap; of two that it shows twice the first is meant.
---
--- ```lua
--- local time = require "time"
---
--- print(time.of({ year = 2026, month = 3, day = 29, hour = 12 }, "Europe/Berlin")) --> 1774778400
--- print(time.of { year = 2026, month = 2, day = 30 }) --> nil there is no 2026-02-30 00:00:00
--- ```
---@param fields table `year`, `month`, `day`, `hour`, `min`, `sec`
---@param zone? string
---@return number? ts
---@return string? err
function time.of(fields, zone) end

--- A time moved by a calendar: a day may have 23 hours, and a month later than 31 January is the last of February.
---@param ts number
---@param span table `years`, `months`, `weeks`, `days`, `hours`, `minutes`, `seconds`, `ms`; any may be negative
---@param zone? string whose days are meant
---@return number ts
function time.add(ts, span, zone) end

--- Reads a duration: `500ms`, `1h30m`, `2 hours 5 minutes`, or ISO 8601's `PT90S`.
---@param text string
---@return number? seconds
---@return string? err
function time.duration(text) end

--- A duration as text.
---@param seconds number
---@return string
function time.format_duration(seconds) end

return time
