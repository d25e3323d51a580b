return function()
end
