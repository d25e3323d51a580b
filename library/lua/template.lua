---@meta template

--- Pages and mails, of texts with holes. Templates are files in the folder `templates` of the project, in the language of
--- Jinja: `{{ value }}`, `{% for x in list %}`, `{% if %}`, `{% include "parts/head.html" %}`, `{% extends %}` and
--- `{% block %}`, macros, and filters as `|upper` and `|tojson`. In files that end in `.html`, `.htm` or `.xml` what is
--- filled in is escaped for HTML; `|safe` says that it is HTML already. Templates are compiled once a version of the
--- project; `weir dev` takes a changed one over when it is saved. What comes out may be as long as `weir.limits.memory`;
--- past that the invocation ends, as it does past any limit.
---
--- ```lua
--- local template = require "template"
---
--- local page = "<h1>{{ title }}</h1>{% for item in items %}<li>{{ item.name|upper }}{% endfor %}"
--- print(template.render_text(page, { title = "<Shop>", items = { { name = "pen" } } })) --> <h1>&lt;Shop&gt;</h1><li>PEN
--- print(template.render_text("Dear {{ name }},", { name = "A & B" }, { escape = false })) --> Dear A & B,
--- ```
---@class template
local template = {}

--- Renders a template of the project. A template that is missing or wrong raises an error with its line.
---@param name string from the folder `templates`: `"orders/show.html"`
---@param values? table<string, any> with a JSON form
---@return string
function template.render(name, values) end

--- Renders a text. It is escaped for HTML, unless `options` say `{escape = false}`.
---@param text string
---@param values? table<string, any> with a JSON form
---@param options? table
---@return string
function template.render_text(text, values, options) end

return template
