return {
    {"GET", "/reports/:day", "report"},
}
