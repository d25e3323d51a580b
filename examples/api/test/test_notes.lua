local lu = require "luaunit"
local test = require "weir/test"

local function create(title) return test.request("POST", "/notes", {title = title}) end

TestNotes = {}

function TestNotes.test_a_note_is_numbered_and_told_where_it_is()
    local answer = create "milk"
    lu.assertEquals(answer.status, 201)
    lu.assertEquals(answer.headers.location, "/notes/00000001")
    lu.assertEquals(create("tea").json.id, "00000002")
end

function TestNotes.test_what_is_wrong_is_told_by_field()
    local answer = test.request("POST", "/notes", {title = "", text = 7})
    lu.assertEquals(answer.status, 422)
    lu.assertItemsEquals(answer.json.fields, {
        title = "a text that is not empty is expected",
        text = "a text is expected",
    })
    lu.assertEquals(create("milk").json.id, "00000001", "who is refused takes no number")
end

function TestNotes.test_pages_follow_each_other()
    for i = 1, 5 do create("note " .. i) end
    local first = test.request("GET", "/notes?limit=3").json.data
    lu.assertEquals(#first.notes, 3)
    local rest = test.request("GET", "/notes?limit=3&after=" .. first.next).json.data
    lu.assertEquals(rest.notes[2].title, "note 5")
    lu.assertNil(rest.next)
end

function TestNotes.test_a_note_is_changed_and_goes()
    create "milk"
    lu.assertEquals(test.request("PUT", "/notes/00000001", {title = "oat milk"}).json.data.title, "oat milk")
    lu.assertEquals(test.request("DELETE", "/notes/00000001").status, 204)
    lu.assertEquals(test.request("GET", "/notes/00000001").status, 404)
end
