return {
    {"GET", "/about", "about"},
    {"POST", "/blogs", "blogs/create"},
    {"POST", "/blogs/preview", "blogs/preview"},
    {"GET", "/blogs/:slug", "blogs/show"},
    {"PUT", "/blogs/:slug", "blogs/update"},
    {"GET", "/feeds/:author.:format", "feed"},
    {"GET", "/files/*path", "files"},
    {"GET", "/debug/nothing", "debug/nothing"},
    {"GET", "/debug/fail", "debug/fail"},
}
