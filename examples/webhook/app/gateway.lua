return {
    {"POST", "/hooks/github", "receive"},
    {"GET", "/pushes/:repository", "pushes"},
}
