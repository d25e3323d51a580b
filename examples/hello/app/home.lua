return function()
    return "say hello: POST /hello/ada"
end
