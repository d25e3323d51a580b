//! `weir check`: everything that is wrong with a project, at once; touches nothing.

use crate::args::Global;
use crate::node::load;
use crate::output;
use crate::project::{CONFIG, Project};
use anyhow::bail;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use weir_config::Flags;
use weir_gateway::Router;
use weir_runtime::{Code, CodeError};

/// Something that the check found.
struct Finding {
    /// Whether the project is wrong, or may only not do what its author thinks.
    is_mistake: bool,
    /// As `app/on_order.lua`; none where the text says it.
    file: Option<String>,
    line: Option<usize>,
    message: String,
}

pub(super) fn run(global: &Global, dir: Option<&Path>) -> anyhow::Result<()> {
    let project = Project::of_command(global, dir, &Flags::default())?;
    let code = Code::load(&project.root);
    let mut findings: Vec<Finding> = project.loaded.warnings.iter().map(|w| warning(w.to_string())).collect();
    findings.extend(code.warnings().iter().map(|w| Finding { is_mistake: false, ..Finding::of(w) }));
    findings.extend(code.errors().iter().map(Finding::of));
    let routes = routes(&project, &code, &mut findings);
    triggers(&project, &code, &routes, &mut findings);
    findings.extend(project.outbound().err().map(|error| mistake(Some(CONFIG), format!("{error:#}"))));
    for finding in &findings {
        output::line(&if global.json { finding.to_json() } else { finding.to_string() });
    }
    let mistakes = findings.iter().filter(|f| f.is_mistake).count();
    if mistakes > 0 {
        bail!("{mistakes} mistakes");
    }
    if !global.json {
        let (functions, routes) = (code.functions().len(), routes.routes().len());
        output::line(&format!("{functions} functions, {routes} routes: all in order"));
    }
    Ok(())
}

fn routes(project: &Project, code: &Code, findings: &mut Vec<Finding>) -> Arc<Router> {
    match load(&project.root, &project.function_env(), Some(code)) {
        Ok((_, router)) => {
            let functions = code.functions();
            for route in router.routes().iter().filter(|r| !functions.contains(&r.function)) {
                let (method, path, function) = (&route.method, &route.path, &route.function);
                let message = format!("route {method} {path}: there is no app/{function}.lua");
                findings.push(mistake(Some("app/gateway.lua"), message));
            }
            router
        }
        Err(wrong) => {
            // what does not compile has been said
            let known = |text: &str| code.errors().iter().any(|e| text.contains(&e.to_string()));
            findings.extend(wrong.into_iter().filter(|w| !known(w)).map(|w| mistake(None, w)));
            Arc::default()
        }
    }
}

fn triggers(project: &Project, code: &Code, routes: &Router, findings: &mut Vec<Finding>) {
    for trigger in &project.config().triggers {
        let routed = routes.find("POST", &format!("/{}", trigger.function)).is_some();
        if !routed && !code.functions().contains(&trigger.function) {
            let (topic, function) = (&trigger.topic, &trigger.function);
            let message = format!("events.{topic}: there is no app/{function}.lua");
            findings.push(mistake(Some(CONFIG), message));
        }
    }
}

fn mistake(file: Option<&str>, message: String) -> Finding {
    Finding { is_mistake: true, file: file.map(str::to_owned), line: None, message }
}

fn warning(message: String) -> Finding {
    Finding { is_mistake: false, ..mistake(None, message) }
}

impl Finding {
    fn of(error: &CodeError) -> Self {
        Self { line: error.line, ..mistake(Some(&error.file), error.message.clone()) }
    }

    fn to_json(&self) -> String {
        let level = if self.is_mistake { "error" } else { "warning" };
        json!({ "level": level, "file": self.file, "line": self.line, "message": self.message }).to_string()
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.is_mistake {
            f.write_str("warning: ")?;
        }
        if let Some(file) = &self.file {
            f.write_str(file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}
