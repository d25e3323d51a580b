local note = require "note"
local state = require "state"

return function(args)
    local fields, wrong = note.read(args)
    if not fields then return response(422, {error = "the note is not in order", fields = wrong}) end
    -- numbers in order, without a gap: two that create at once run one after the other
    fields.id = string.format("%08d", state.incr("sequences", "notes"))
    state.set(note.TABLE, fields.id, fields)
    return response(201, fields, {Location = "/notes/" .. fields.id})
end
