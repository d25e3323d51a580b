-- What a note may be, said once for those that create and change one.
local note = {}

note.TABLE = "notes"

-- The fields of a note as they are kept; nil and what is wrong with them otherwise.
function note.read(args)
    local wrong = {}
    if type(args.title) ~= "string" or args.title == "" then
        wrong.title = "a text that is not empty is expected"
    elseif #args.title > 200 then
        wrong.title = "it is longer than 200 bytes"
    end
    if args.text ~= nil and type(args.text) ~= "string" then
        wrong.text = "a text is expected"
    end
    if next(wrong) then return nil, wrong end
    return {title = args.title, text = args.text or ""}
end

function note.missing(id)
    return response(404, {error = "there is no note " .. tostring(id)})
end

return note
