return function(args)
    local html, bold = string.gsub(args.text, "%*([^*]+)%*", "<b>%1</b>")
    if string.find(html, "*", 1, true) then
        error("an asterisk is never closed")
    end
    return {html = html, bold = bold}
end
