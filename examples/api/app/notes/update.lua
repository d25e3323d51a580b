local note = require "note"
local state = require "state"

return function(args)
    if not state.get(note.TABLE, args.id) then return note.missing(args.id) end
    local fields, wrong = note.read(args)
    if not fields then return response(422, {error = "the note is not in order", fields = wrong}) end
    fields.id = args.id
    state.set(note.TABLE, args.id, fields)
    return fields
end
