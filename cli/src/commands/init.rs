//! `weir init`: a new project from a template that is part of the binary.

use crate::args::{Init, Template};
use crate::{editor, output};
use anyhow::{Context as _, bail};
use clap::ValueEnum as _;
use std::path::Path;

/// What a folder may hold that becomes a project.
const HARMLESS: [&str; 6] = [".git", "README", "README.md", "LICENSE", "LICENSE.md", "LICENSE.txt"];

macro_rules! template {
    ($name:literal: $($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../../../examples/", $name, "/", $file)))),*]
    };
}

const HELLO: &[(&str, &str)] = template!("hello":
    "app/gateway.lua", "app/greetings.lua", "app/hello.lua", "app/home.lua", "app/on_greeting.lua",
    "config/application.yml", "test/test_hello.lua",
);

const SHOP: &[(&str, &str)] = template!("shop":
    "app/gateway.lua", "app/mail/server.lua", "app/on_order.lua", "app/orders/place.lua", "app/orders/show.lua",
    "app/prices/quote.lua", "app/send_mail.lua", "app/stock/get.lua", "app/stock/set.lua",
    "config/application.yml", "test/test_orders.lua",
);

const API: &[(&str, &str)] = template!("api":
    "app/gateway.lua", "app/notes/create.lua", "app/notes/delete.lua", "app/notes/list.lua", "app/notes/show.lua",
    "app/notes/update.lua", "config/application.yml", "lib/note.lua", "test/test_notes.lua",
);

const WEBHOOK: &[(&str, &str)] = template!("webhook":
    ".env", "app/gateway.lua", "app/on_delivery.lua", "app/pushes.lua", "app/receive.lua", "config/application.yml",
    "test/test_hooks.lua",
);

const CRON: &[(&str, &str)] = template!("cron":
    "app/gateway.lua", "app/on_report.lua", "app/private/nightly.lua", "app/report.lua", "config/application.yml",
    "test/test_nightly.lua",
);

const SPACER_BLOG: &[(&str, &str)] = template!("spacer-blog":
    ".env", "app/about.lua", "app/blogs/create.lua", "app/blogs/preview.lua", "app/blogs/show.lua",
    "app/blogs/update.lua", "app/debug/fail.lua", "app/debug/nothing.lua", "app/feed.lua", "app/files.lua",
    "app/gateway.lua", "app/models/blog.lua", "app/on_blog.lua", "app/private/index_blog.lua",
    "app/private/render.lua", "app/private/word_count.lua", "config/application.yml", "lib/slug.lua",
    "test/test_blog.lua",
);

pub(super) fn run(init: &Init) -> anyhow::Result<()> {
    if init.list {
        for template in Template::value_variants() {
            let value = template.to_possible_value().context("every template has a name")?;
            output::line(&format!(
                "{:<13}{}",
                value.get_name(),
                value.get_help().map(ToString::to_string).unwrap_or_default()
            ));
        }
        return Ok(());
    }
    let dir = init.dir.as_deref().context("say which folder: weir init DIR")?;
    refuse_full(dir)?;
    let files = match init.template {
        Template::Hello => HELLO,
        Template::Shop => SHOP,
        Template::Api => API,
        Template::Webhook => WEBHOOK,
        Template::Cron => CRON,
        Template::SpacerBlog => SPACER_BLOG,
    };
    for (name, text) in files {
        write(&dir.join(name), text)?;
    }
    if !dir.join(".gitignore").exists() {
        write(&dir.join(".gitignore"), ".weir/\n.env\n")?;
    }
    editor::install(dir)?;
    output::line(&format!("{} is a project now. Serve it: weir dev {}", dir.display(), dir.display()));
    Ok(())
}

fn refuse_full(dir: &Path) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let name = entry.with_context(|| format!("read {}", dir.display()))?.file_name();
        if !HARMLESS.iter().any(|h| name.to_string_lossy().eq_ignore_ascii_case(h)) {
            bail!(
                "{} is not empty (it holds {}): choose a new folder",
                dir.display(),
                name.to_string_lossy()
            );
        }
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = file.parent().context("every file of a template lies in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}
