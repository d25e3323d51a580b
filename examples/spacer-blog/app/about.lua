return function()
    return {
        title = os.getenv("BLOG_TITLE"),
        environment = os.getenv("SPACER_ENV") or "development",
        -- Set on every machine, but envVar does not list it.
        path_is_hidden = os.getenv("PATH") == nil,
    }
end
