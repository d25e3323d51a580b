local note = require "note"
local state = require "state"

return function(args)
    return state.get(note.TABLE, args.id) or note.missing(args.id)
end
