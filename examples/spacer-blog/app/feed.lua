return function(args)
    return {author = args.author, format = args.format}
end
