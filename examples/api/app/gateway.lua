return {
    {"GET", "/notes", "notes/list"},
    {"POST", "/notes", "notes/create"},
    {"GET", "/notes/:id", "notes/show"},
    {"PUT", "/notes/:id", "notes/update"},
    {"DELETE", "/notes/:id", "notes/delete"},
}
