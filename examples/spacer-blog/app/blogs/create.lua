local topics = require "topics"
local Blog = require "models/blog"

return function(args)
    local blog, mistakes = Blog.new(args)
    if not blog then
        return nil, mistakes
    end
    topics.append("blogs", {[blog.slug] = blog})
    return {slug = blog.slug}
end
