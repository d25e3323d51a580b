return function(args)
    return args.path
end
