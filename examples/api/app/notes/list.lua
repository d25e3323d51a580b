local note = require "note"
local state = require "state"

-- A page, and where the next one begins: GET /notes?after=00000020&limit=20
return function(args)
    local limit = math.min(tonumber(args.limit) or 20, 100)
    local rows = state.scan(note.TABLE, {after = args.after, limit = limit})
    local page = {}
    for i, row in ipairs(rows) do page[i] = row.value end
    local is_full = #rows == limit
    return {notes = require("json").array(page), next = is_full and rows[#rows].key or nil}
end
