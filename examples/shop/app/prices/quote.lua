local CENTS = {tea = 450, coffee = 620}

-- Called by other functions through `flow`, in their transaction.
return function(args)
    local each = CENTS[args.sku]
    if not each then
        return nil, "no price for " .. tostring(args.sku)
    end
    return {cents = each * args.amount}
end
