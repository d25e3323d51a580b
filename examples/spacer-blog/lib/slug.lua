local slug = {}

function slug.of(title)
    local text = string.gsub(string.lower(title), "[^%w]+", "-")
    return (string.gsub(text, "^%-*(.-)%-*$", "%1"))
end

return slug
