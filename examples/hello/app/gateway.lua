return {
    {"GET", "/", "home"},
    {"POST", "/hello/:name", "hello"},
    {"GET", "/greetings/:name", "greetings"},
}
