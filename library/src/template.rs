//! `template`: pages and mails of texts with holes.

use crate::call::{Call, Done, misuse};
use crate::registry::Registry;
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use mlua::{LuaString, Table, Value};
use std::sync::{Arc, Mutex, PoisonError};

/// Steps that one rendering may take.
const FUEL: u64 = 2_000_000;

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
    templates.set_loader(move |name| Ok(files.text(&format!("templates/{name}")).map(str::to_owned)));
    templates
}

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("render", |call: Call, (name, values): (String, Option<Table>)| async move {
        rendered(call, values, move |templates, values| templates.get_template(&name)?.render(values)).await
    })?;
    to.add_later(
        "render_text",
        |call: Call, (text, values, options): (LuaString, Option<Table>, Option<Table>)| async move {
            let is_plain =
                options.map(|o| o.raw_get::<Value>("escape")).transpose()? == Some(Value::Boolean(false));
            let text = text.to_string_lossy();
            let name = if is_plain { "text" } else { "text.html" };
            rendered(call, values, move |templates, values| templates.render_named_str(name, &text, values))
                .await
        },
    )
}

/// Renders on another thread: how long it takes is not known before.
async fn rendered(
    call: Call,
    values: Option<Table>,
    render: impl FnOnce(&Environment<'static>, minijinja::Value) -> Result<String, Error> + Send + 'static,
) -> Done<LuaString> {
    let json = match values {
        Some(values) => call.around.write_json(&Value::Table(values))?.or_else(misuse)?,
        None => b"{}".to_vec(),
    };
    let templates = call.services().templates.of(call.around.files());
    let text = call.off_thread(move || {
        let values: serde_json::Value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        render(&templates, minijinja::value::Serde(values).into()).map_err(|error| told(&error))
    });
    text.await?.map_or_else(misuse, |text| call.text(text))
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
