local flow = require "flow"
local topics = require "topics"

return function(blog)
    local count = flow.call("private/word_count", {text = blog.body})
    topics.append("stats", {[blog.slug] = count})
end
