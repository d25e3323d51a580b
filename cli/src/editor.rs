//! What a project's editors and assistants are told of Weir's modules.

use anyhow::Context as _;
use std::path::Path;
use weir_library::stubs::{STUBS, all, assistants};

/// Where the types are, from the project's folder. `.luarc.json` names it, so it stays there whatever the data folder
/// is; like that it is not part of the project's history.
const TYPES: &str = ".weir/types";

/// For the Lua language server.
const LUARC: &str = r#"{
  "$schema": "https://raw.githubusercontent.com/LuaLS/vscode-lua/master/setting/schema.json",
  "runtime.version": "LuaJIT",
  "workspace.library": [".weir/types"],
  "workspace.checkThirdParty": false
}
"#;

/// Writes all that there is into a new project.
pub(crate) fn install(root: &Path) -> anyhow::Result<()> {
    write(&root.join(".luarc.json"), LUARC)?;
    write(&root.join("llms.txt"), &assistants(&all().collect::<Vec<_>>()))?;
    refresh(root)
}

/// Brings the types to those of this program; those that are so already are not touched.
pub(crate) fn refresh(root: &Path) -> anyhow::Result<()> {
    let folder = root.join(TYPES);
    for (name, text) in STUBS {
        let file = folder.join(format!("{name}.lua"));
        if std::fs::read_to_string(&file).is_ok_and(|there| there == *text) {
            continue;
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("make the folder {}", folder.display()))?;
        write(&file, text)?;
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}
