//! `weir check`: everything that is wrong with a project, at once; touches nothing.

use crate::args::Global;
use crate::node::load;
use crate::output;
use crate::project::Project;
use anyhow::bail;
use std::path::Path;
use weir_config::Flags;
use weir_runtime::Code;

pub(super) fn run(global: &Global, dir: Option<&Path>) -> anyhow::Result<()> {
    let project = Project::of_command(global, dir, &Flags::default())?;
    for warning in &project.loaded.warnings {
        output::line(&format!("warning: {warning}"));
    }
    let code = Code::load(&project.root);
    let mut mistakes: Vec<String> = code.errors().iter().map(ToString::to_string).collect();
    let routes = match load(&project.root, &project.function_env(), Some(&code)) {
        Ok((_, router)) => {
            let functions = code.functions();
            for route in router.routes().iter().filter(|r| !functions.contains(&r.function)) {
                let (method, path, function) = (&route.method, &route.path, &route.function);
                mistakes
                    .push(format!("app/gateway.lua: route {method} {path}: there is no app/{function}.lua"));
            }
            router
        }
        Err(wrong) => {
            mistakes.extend(
                wrong.into_iter().filter(|w| !code.errors().iter().any(|e| w.contains(&e.to_string()))),
            );
            std::sync::Arc::default()
        }
    };
    for trigger in &project.config().triggers {
        let routed = routes.find("POST", &format!("/{}", trigger.function)).is_some();
        if !routed && !code.functions().contains(&trigger.function) {
            let (topic, function) = (&trigger.topic, &trigger.function);
            mistakes.push(format!("config/application.yml: events.{topic}: there is no app/{function}.lua"));
        }
    }
    if let Err(error) = project.outbound() {
        mistakes.push(format!("config/application.yml: {error:#}"));
    }
    for mistake in &mistakes {
        output::line(mistake);
    }
    if mistakes.is_empty() {
        output::line(&format!(
            "{} functions, {} routes: all in order",
            code.functions().len(),
            routes.routes().len()
        ));
        return Ok(());
    }
    bail!("{} mistakes", mistakes.len())
}
