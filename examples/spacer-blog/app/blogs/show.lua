return function(args)
    return {slug = args.slug, draft = args.draft}
end
