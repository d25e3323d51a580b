local topics = require "topics"
local Blog = require "models.blog"

-- The slug of the path wins over one in the query, which wins over one in the body.
return function(args)
    local blog, mistakes = Blog.new(args)
    if not blog then
        return nil, mistakes
    end
    blog.slug = args.slug
    topics.append("blogs", {[args.slug] = blog})
    return {slug = args.slug}
end
