//! `template`: pages and mails of texts with holes.

use crate::call::{Call, Done, misuse};
use crate::registry::Registry;
use minijinja::value::{Kwargs, StringInput};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, filters};
use mlua::{LuaString, Table, Value};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Steps that one rendering may take.
const FUEL: u64 = 2_000_000;

/// Spaces that `indent` puts before a line at most.
const INDENT: usize = 1000;

/// Versions of a project whose templates are kept: the live one, and the one before while it ends.
const VERSIONS: usize = 2;

/// The files of one version of a project.
pub trait Files: Send + Sync {
    /// Another version has another one.
    fn version(&self) -> &str;

    /// A text file by its path from the project's folder.
    fn text(&self, path: &str) -> Option<&str>;
}

/// Compiled templates, by the version of the project.
#[derive(Default)]
pub(crate) struct Templates(Mutex<Vec<(String, Arc<Environment<'static>>)>>);

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Templates").finish_non_exhaustive()
    }
}

impl Templates {
    fn of(&self, files: Arc<dyn Files>) -> Arc<Environment<'static>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, templates)) = known.iter().find(|(version, _)| version == files.version()) {
            return templates.clone();
        }
        let version = files.version().to_owned();
        let templates = Arc::new(environment(files));
        known.truncate(VERSIONS - 1);
        known.insert(0, (version, templates.clone()));
        templates
    }
}

fn environment(files: Arc<dyn Files>) -> Environment<'static> {
    let mut templates = Environment::new();
    templates.set_fuel(Some(FUEL));
    templates.set_auto_escape_callback(|name| {
        let is_page = [".html", ".htm", ".xml"].iter().any(|end| name.ends_with(end));
        if is_page { AutoEscape::Html } else { AutoEscape::None }
    });
    templates.add_filter("indent", indent);
    templates.set_loader(move |name| Ok(files.text(&format!("templates/{name}")).map(str::to_owned)));
    templates
}

/// The filter of this name, which would make a line as long as it is told.
fn indent(
    text: StringInput<'_>,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<minijinja::Value, Error> {
    if width.or_else(|| options.peek("width").ok()).is_some_and(|width| width > INDENT) {
        let text = format!("indent: a width of at most {INDENT} expected");
        return Err(Error::new(ErrorKind::InvalidOperation, text));
    }
    filters::indent(text, width, first, blank, options)
}

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("render", |call: Call, (name, values): (String, Option<Table>)| async move {
        rendered(call, values, move |templates, values, page| {
            templates.get_template(&name)?.render_captured_to(values, page).map(drop)
        })
        .await
    })?;
    to.add_later(
        "render_text",
        |call: Call, (text, values, options): (LuaString, Option<Table>, Option<Table>)| async move {
            let is_plain =
                options.map(|o| o.raw_get::<Value>("escape")).transpose()? == Some(Value::Boolean(false));
            let text = text.to_string_lossy();
            let name = if is_plain { "text" } else { "text.html" };
            rendered(call, values, move |templates, values, page| {
                templates.template_from_named_str(name, &text)?.render_captured_to(values, page).map(drop)
            })
            .await
        },
    )
}

/// Renders on another thread: how long it takes is not known before.
async fn rendered(
    call: Call,
    values: Option<Table>,
    render: impl FnOnce(&Environment<'static>, minijinja::Value, &mut Page) -> Result<(), Error> + Send + 'static,
) -> Done<LuaString> {
    let json = match values {
        Some(values) => call.around.write_json(&Value::Table(values))?.or_else(misuse)?,
        None => b"{}".to_vec(),
    };
    let templates = call.services().templates.of(call.around.files());
    let limit = call.around.largest();
    let page = call.off_thread(move || {
        let values: serde_json::Value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        let mut page = Page { text: Vec::new(), limit, is_full: false };
        match render(&templates, minijinja::value::Serde(values).into(), &mut page) {
            Err(error) if !page.is_full => Err(told(&error)),
            _ => Ok(page),
        }
    });
    let page = page.await?.or_else(misuse)?;
    if page.is_full {
        call.reserve(limit.saturating_add(1))?;
    }
    call.text(page.text)
}

/// What a template makes, as long as that is not too long.
struct Page {
    text: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl io::Write for Page {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.text.len() + more.len() > self.limit {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where and what, on one line.
fn told(error: &Error) -> String {
    if error.kind() == ErrorKind::TemplateNotFound {
        let detail = error.detail().unwrap_or_default();
        return format!("{detail}: it is looked for in the folder templates");
    }
    let place =
        error.name().zip(error.line()).map(|(name, line)| format!("{name}:{line}: ")).unwrap_or_default();
    match error.detail() {
        Some(detail) => format!("{place}{}: {detail}", error.kind()),
        None => format!("{place}{}", error.kind()),
    }
}
