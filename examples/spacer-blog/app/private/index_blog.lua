local topics = require "topics"

return function(blog)
    local entries = {}
    for word in string.gmatch(string.lower(blog.title), "%w+") do
        entries[word] = {slug = blog.slug}
    end
    topics.append("search", entries)
end
