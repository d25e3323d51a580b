local luaunit = require "luaunit"
local slug = require "slug"
local Blog = require "models/blog"

TestBlog = {}

function TestBlog:testSlug()
    luaunit.assertEquals(slug.of("Hello, World!"), "hello-world")
end

function TestBlog:testWhatIsMissingIsNamed()
    local blog, mistakes = Blog.new({title = ""})
    luaunit.assertNil(blog)
    luaunit.assertEquals(mistakes, {title = "is required", body = "is required"})
end

os.exit(luaunit.LuaUnit.run())
