local note = require "note"
local state = require "state"

return function(args)
    if not state.get(note.TABLE, args.id) then return note.missing(args.id) end
    state.delete(note.TABLE, args.id)
    return response(204)
end
