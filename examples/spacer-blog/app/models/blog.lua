local slug = require "slug"

local Blog = {}

function Blog.new(args)
    local mistakes = {}
    if type(args.title) ~= "string" or args.title == "" then
        mistakes.title = "is required"
    end
    if type(args.body) ~= "string" then
        mistakes.body = "is required"
    end
    if next(mistakes) then
        return nil, mistakes
    end
    return {slug = slug.of(args.title), title = args.title, body = args.body}
end

return Blog
