//! The stubs of all modules, as editors read them (LuaLS), and what they say.
//!
//! A stub is the one source of a module's documentation: `docs/lua/`, what `weir init` puts into a project, and tests
//! that compare it with the module itself and run its examples are made from it.

mod parse;
mod render;

pub use render::{assistants, index, page};

macro_rules! stubs {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../lua/", $name, ".lua")))),*]
    };
}

/// Module and text of every stub, by name.
pub const STUBS: &[(&str, &str)] = stubs![
    "base64",
    "bit",
    "cache",
    "cjson",
    "cjson.safe",
    "crypto",
    "csv",
    "ctx",
    "env",
    "flow",
    "hex",
    "http",
    "json",
    "jwt",
    "log",
    "ngx",
    "random",
    "re",
    "response",
    "resty.hmac",
    "resty.jwt",
    "resty.sha256",
    "resty.string",
    "router",
    "state",
    "strings",
    "template",
    "time",
    "topics",
    "url",
    "uuid",
    "xml",
    "yaml",
];

/// What a stub says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Stub {
    /// What `require` calls the module.
    pub name: String,
    /// What it is for: Markdown.
    pub about: String,
    /// In the order of the file.
    pub items: Vec<Item>,
}

/// Something that a stub describes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// As it is written: `base64.encode`, `Generator:int`, `ctx`.
    pub name: String,
    /// What it does: Markdown.
    pub about: String,
    /// What it is.
    pub kind: Kind,
}

/// What a stub describes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A function, with what it is given and what it returns.
    Function(Vec<Named>, Vec<Named>),
    /// A table, with its fields.
    Class(Vec<Named>),
    /// A value of this type.
    Value(String),
}

/// A parameter, a result or a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Empty for a result without a name.
    pub name: String,
    /// As LuaLS writes it.
    pub kind: String,
    /// What it is.
    pub about: String,
}

/// All stubs, read.
///
/// # Panics
/// Never: a test reads them all.
pub fn all() -> impl Iterator<Item = Stub> {
    STUBS.iter().map(|(name, text)| {
        Stub::parse(text).unwrap_or_else(|error| panic!("library/lua/{name}.lua: {error}"))
    })
}

impl Stub {
    /// Reads a stub. The error names the line.
    ///
    /// # Errors
    /// There is a line that is none of a stub's.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::stub(text)
    }

    /// The names of the module's own members: `encode` for `base64.encode`.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        let own = self.name.rsplit('.').next().unwrap_or(&self.name);
        let items = self.items.iter().filter(|item| !matches!(item.kind, Kind::Class(_)));
        items.filter_map(move |item| {
            Some(item.name.strip_prefix(own)?.strip_prefix(['.', ':'])?.trim_end_matches('?'))
        })
    }

    /// The Lua code between fences, of the module and of its items.
    pub fn examples(&self) -> Vec<String> {
        let texts = std::iter::once(&self.about).chain(self.items.iter().map(|i| &i.about));
        texts.flat_map(|text| fenced(text)).collect()
    }
}

fn fenced(markdown: &str) -> Vec<String> {
    let mut examples = Vec::new();
    let mut open: Option<String> = None;
    for line in markdown.lines() {
        match &mut open {
            None if line == "```lua" => open = Some(String::new()),
            Some(_) if line == "```" => examples.extend(open.take()),
            Some(example) => {
                example.push_str(line);
                example.push('\n');
            }
            None => {}
        }
    }
    examples
}

#[cfg(test)]
mod tests;
