return function(args)
    local words = 0
    for _ in string.gmatch(args.text, "%S+") do
        words = words + 1
    end
    return {words = words}
end
