return function()
    error({reason = "nobody wrote this page"})
end
