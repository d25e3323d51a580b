local flow = require "flow"

return function(args)
    local ok, result = pcall(flow.call, "private/render", {text = args.text})
    if ok then
        return result.html
    end
    -- A failed flow.call raises a string that ends with the callee's answer.
    if string.find(result, "is never closed", 1, true) then
        return nil, "an asterisk is missing"
    end
    error(result, 0)
end
