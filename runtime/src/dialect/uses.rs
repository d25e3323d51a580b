//! What a source uses that functions do not have: found by reading, so it may be behind an `if` that never holds.

use super::Mistake;
use super::lexer::{Kind, Token, tokens};
use std::collections::HashSet;

/// What there is none of, and what to do instead. A name alone stands for all that is in it.
const ABSENT: &[(&str, &str)] = &[
    ("io", "functions have no files: keep data in `state` or in a topic, and print with `log`"),
    ("dofile", "write `require \"name\"` for lib/name.lua"),
    ("loadfile", "write `require \"name\"` for lib/name.lua"),
    ("os.execute", "functions start no processes: let a service of its own do it, and call that"),
    ("os.exit", "a function cannot end the process: return, or raise with `error`"),
    ("os.remove", "functions have no files"),
    ("os.rename", "functions have no files"),
    ("os.tmpname", "functions have no files"),
    ("os.setlocale", "the locale is always C"),
    ("string.dump", "functions are not made into bytecode: keep the source, and `load` it"),
    ("debug.debug", "there is no terminal: print with `log`"),
    ("debug.sethook", "limits are kept by Weir (weir.limits), and `weir trace` tells times"),
    ("debug.gethook", "limits are kept by Weir (weir.limits), and `weir trace` tells times"),
    ("debug.getlocal", "pass the value to whoever needs it"),
    ("debug.setlocal", "pass the value to whoever needs it"),
    ("debug.getupvalue", "pass the value to whoever needs it"),
    ("debug.setupvalue", "pass the value to whoever needs it"),
    ("debug.upvaluejoin", "pass the value to whoever needs it"),
    ("debug.getmetatable", "write `getmetatable`"),
    ("debug.setmetatable", "write `setmetatable`"),
    ("debug.getregistry", "there is no registry"),
    ("debug.getfenv", "write `getfenv`"),
    ("debug.setfenv", "write `setfenv`"),
    ("package.loadlib", "C libraries cannot be loaded"),
    ("package.preload", "put the module into lib/, or set `package.loaded[name]`"),
    ("package.loaders", "modules are found in app/, lib/ and the project's folder"),
    ("package.searchers", "modules are found in app/, lib/ and the project's folder"),
    ("package.searchpath", "modules are found in app/, lib/ and the project's folder"),
    ("jit", "the engine is Luau, not LuaJIT: leave it out"),
];

/// Modules of other systems that a project cannot have in `lib/`, since they are C.
const MODULES: &[(&str, &str)] = &[
    ("ffi", "C libraries cannot be called: write it in Lua, or call a service"),
    ("jit", "the engine is Luau, not LuaJIT: leave it out"),
    ("table.new", "write `table.create(n)`"),
    ("table.clear", "write `table.clear(t)`, which is there without `require`"),
    ("lfs", "functions have no files"),
    ("posix", "functions reach the system through Weir alone"),
    ("socket", "functions open no sockets of their own: use `http`"),
    ("socket.http", "use `http`"),
    ("ssl", "use `http`"),
    ("lpeg", "it is C: use Lua's patterns, or `re`"),
];

const LIBRARIES: [&str; 8] = ["string", "table", "math", "os", "coroutine", "bit32", "utf8", "debug"];

/// All uses of a source, in its order.
pub(crate) fn uses(source: &[u8]) -> Vec<Mistake> {
    let tokens = tokens(source);
    let reader = Reader { own: own_names(&tokens), tokens: &tokens };
    (0..tokens.len()).filter_map(|i| reader.at(i)).collect()
}

struct Reader<'a, 's> {
    tokens: &'a [Token<'s>],
    /// Names that the source gives a meaning of its own.
    own: HashSet<&'s [u8]>,
}

impl Reader<'_, '_> {
    fn at(&self, index: usize) -> Option<Mistake> {
        let token = &self.tokens[index];
        let before = index.checked_sub(1).map(|i| &self.tokens[i]);
        let is_member = before.is_some_and(|b| b.is_symbol(".") || b.is_symbol(":"));
        if token.kind != Kind::Word || is_member || self.own.contains(token.text) {
            return None;
        }
        let message = self.required(index).or_else(|| self.changed(index)).or_else(|| self.absent(index))?;
        Some(Mistake { line: token.line, message })
    }

    /// `require "ffi"`.
    fn required(&self, index: usize) -> Option<String> {
        if !self.tokens[index].is_word("require") {
            return None;
        }
        let next = self.tokens.get(index + 1)?;
        let text = if next.is_symbol("(") { self.tokens.get(index + 2)? } else { next };
        let (name, remedy) = MODULES.iter().find(|(name, _)| text.plain_text() == Some(name))?;
        Some(format!("require {name:?}: {remedy}"))
    }

    /// `function string.trim(s)`, `table.unpack = unpack`.
    fn changed(&self, index: usize) -> Option<String> {
        let library = LIBRARIES.iter().find(|l| self.tokens[index].is_word(l))?;
        let name = self.member(index)?;
        let is_set = self.tokens.get(index + 3).is_some_and(|t| t.is_symbol("="));
        let is_function = index.checked_sub(1).is_some_and(|i| self.tokens[i].is_word("function"));
        (is_set || is_function).then(|| {
            format!(
                "{library}.{name} cannot be set, as all functions share `{library}`: put it into a module of lib/"
            )
        })
    }

    fn absent(&self, index: usize) -> Option<String> {
        let name = self.tokens[index].show();
        let member = self.member(index);
        let path = member.as_ref().map_or_else(|| name.clone(), |m| format!("{name}.{m}"));
        let next = self.tokens.get(index + 1);
        let is_called = next.is_some_and(|t| t.is_symbol("(") || t.kind == Kind::Text);
        let is_used = member.is_some() || is_called;
        let (_, remedy) =
            ABSENT.iter().find(|(absent, _)| is_used && (*absent == path || *absent == name))?;
        Some(format!("{path}: {remedy}"))
    }

    /// `b` of `a.b`.
    fn member(&self, index: usize) -> Option<String> {
        let [dot, name] = self.tokens.get(index + 1..index + 3)? else { return None };
        (dot.is_symbol(".") && name.kind == Kind::Word).then(|| name.show())
    }
}

/// What is set or a parameter somewhere: `local io = …`, but for `local io = io`.
fn own_names<'s>(tokens: &[Token<'s>]) -> HashSet<&'s [u8]> {
    let mut names = HashSet::new();
    for (index, token) in tokens.iter().enumerate() {
        let next = |n: usize| tokens.get(index + n);
        let is_next = |n: usize, symbol| next(n).is_some_and(|t| t.is_symbol(symbol));
        if token.is_word("function") {
            let head = tokens[index + 1..].iter().take(64).take_while(|t| !t.is_symbol(")"));
            names.extend(head.skip_while(|t| !t.is_symbol("(")).filter(|t| t.is_name()).map(|t| t.text));
        }
        if token.is_word("local") {
            let name = if next(1).is_some_and(|t| t.is_word("function")) { next(2) } else { next(1) };
            let is_alias = is_next(2, "=") && next(3).map(|t| t.text) == next(1).map(|t| t.text);
            names.extend(name.filter(|t| t.is_name() && !is_alias).map(|t| t.text));
        }
        // a statement, and no field of a table
        let is_field = index.checked_sub(1).is_some_and(|i| {
            [".", ":", "{", ","].iter().any(|s| tokens[i].is_symbol(s)) || tokens[i].is_word("local")
        });
        if token.is_name() && is_next(1, "=") && !is_field {
            names.insert(token.text);
        }
    }
    names
}
