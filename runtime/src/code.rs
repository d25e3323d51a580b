//! One version of a project: its sources, compiled once, shared by all workers.

use crate::failure::{code_frame, load_failure};
use crate::modules::Owner;
use crate::{Failure, dialect, modules};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use weir_schema::{FunctionName, Hex};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Past this a source is refused: compiling cannot be interrupted, and takes 0.3 s a MiB.
const MAX_SOURCE: u64 = 1 << 20;

/// Folders of a project that hold no code.
const NO_CODE: [&str; 7] = [".weir", ".git", "node_modules", "target", "logs", "temp", "config"];

/// One version of a project. `require` and the functions are looked up here, never on disk, so that an invocation
/// sees one version from start to end.
#[derive(Debug)]
pub struct Code {
    files: BTreeMap<Arc<str>, Arc<CodeFile>>,
    functions: foldhash::HashMap<FunctionName, Arc<CodeFile>>,
    /// By what `require` may call them, with the rank of the folder that the name stands for.
    modules: HashMap<String, (usize, Arc<CodeFile>)>,
    /// Modules of Weir's own that are written in Lua, by the names that `require` knows them by.
    library: BTreeMap<String, Arc<CodeFile>>,
    /// Texts below `templates/`, by path.
    texts: BTreeMap<String, Arc<str>>,
    version: Arc<str>,
    mistakes: Vec<CodeError>,
    /// Functions whose arguments held an integer beyond 2^53, warned of once.
    warned: Mutex<HashSet<FunctionName>>,
}

/// One `*.lua` file.
#[derive(Debug)]
pub(crate) struct CodeFile {
    /// Below the root, with slashes: `app/on_order.lua`. It is the chunk's name, so errors show it.
    pub(crate) path: Arc<str>,
    pub(crate) source: Vec<u8>,
    /// Of path and source: what a worker keeps loaded code by.
    pub(crate) hash: u128,
    pub(crate) compiled: Result<Arc<[u8]>, CodeError>,
}

/// A mistake in one file of a project.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}{}: {message}", line.map(|l| format!(":{l}")).unwrap_or_default())]
pub struct CodeError {
    /// `app/on_order.lua`.
    pub file: String,
    /// From 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// The source around the line, with numbers and a mark; empty if not known.
    pub frame: String,
}

impl Code {
    /// Reads and compiles every `*.lua` below `root`, and reads the templates. Mistakes are kept, file by file: see [`Code::errors`]. Does
    /// file I/O and some ms of work per file: call it off the workers.
    #[must_use]
    pub fn load(root: &Path) -> Self {
        Self::build(read_sources(root), None)
    }

    /// The project as it is on disk now; what did not change is not compiled again.
    #[must_use]
    pub fn reload(&self, root: &Path) -> Self {
        Self::build(read_sources(root), Some(self))
    }

    /// A version made of sources by path (`app/hello.lua`), for bundles and tests.
    #[must_use]
    pub fn from_sources<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let sources = sources.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        Self::build(Sources { files: sources.collect(), mistakes: Vec::new() }, None)
    }

    fn build(sources: Sources, old: Option<&Self>) -> Self {
        let mut version = Xxh3::new();
        let mut files = BTreeMap::new();
        let mut texts = BTreeMap::new();
        let mut mistakes = sources.mistakes;
        for (path, source) in sources.files {
            let hash = hash_of(&path, &source);
            version.update(&hash.to_le_bytes());
            if is_template(&path) {
                match String::from_utf8(source) {
                    Ok(text) => drop(texts.insert(path, text.into())),
                    Err(_) => mistakes.push(mistake(&path, "a template is text in UTF-8".to_owned())),
                }
                continue;
            }
            let kept = old.and_then(|o| o.files.get(path.as_str())).filter(|f| f.hash == hash).cloned();
            let file = kept.unwrap_or_else(|| Arc::new(CodeFile::compile(path, source, hash)));
            mistakes.extend(file.compiled.as_ref().err().cloned());
            mistakes.extend(bad_name(&file.path));
            files.insert(file.path.clone(), file);
        }
        let functions =
            files.values().filter_map(|f| Some((function_of(&f.path)?.ok()?, f.clone()))).collect();
        let version = Hex::<16>::of(version.digest().into()).as_str().into();
        Self {
            functions,
            modules: modules_of(&files),
            files,
            library: BTreeMap::new(),
            texts,
            version,
            mistakes,
            warned: Mutex::default(),
        }
    }

    /// The same, with modules written in Lua that are not the project's, by name. Each may be called as a function too,
    /// where the project has none of its name, and is given what reaches [`crate::Host::ask`].
    #[must_use]
    pub fn with_library<'a>(self, modules: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let compile = |(name, source): (&str, &str)| {
            let (path, source) = (format!("{name}.lua"), source.as_bytes().to_vec());
            let hash = hash_of(&path, &source);
            (name.to_owned(), Arc::new(CodeFile::compile(path, source, hash)))
        };
        Self { library: modules.into_iter().map(compile).collect(), ..self }
    }

    /// The Lua files below a folder of the project, with their paths.
    pub fn files_in<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.keys().map(|path| &**path).filter(move |path| path.starts_with(folder))
    }

    /// A short hash over all sources: 16 hexadecimal digits.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Every function: each `app/**.lua` but the route table, whether it compiles or not.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionName> {
        self.files.keys().filter_map(|path| function_of(path)?.ok()).collect()
    }

    /// Whether there is such a function.
    #[must_use]
    pub fn has_function(&self, name: &FunctionName) -> bool {
        self.function_file(name).is_some()
    }

    /// All mistakes, by file.
    #[must_use]
    pub fn errors(&self) -> &[CodeError] {
        &self.mistakes
    }

    /// What the project's files use that functions do not have, as far as it can be seen in the source, and files that
    /// share their name with a module of Weir's. None of it keeps anything from running.
    #[must_use]
    pub fn warnings(&self) -> Vec<CodeError> {
        self.files.values().flat_map(|file| file.warnings()).collect()
    }

    /// The code frame around a line of a file; empty if there is no such line.
    #[must_use]
    pub fn frame(&self, file: &str, line: usize) -> String {
        self.file(file).map(|f| code_frame(&f.source, line)).unwrap_or_default()
    }

    pub(crate) fn file(&self, path: &str) -> Option<&Arc<CodeFile>> {
        self.files.get(path)
    }

    pub(crate) fn function_file(&self, name: &FunctionName) -> Option<&Arc<CodeFile>> {
        self.functions.get(name).or_else(|| self.library.get(name.as_str()))
    }

    pub(crate) fn library(&self, name: &str) -> Option<&Arc<CodeFile>> {
        self.library.get(name)
    }

    /// What `require` means by `name`: a file of `app/`, of `lib/`, or below the root. A dot is a slash, unless there
    /// is a file with the dot.
    pub(crate) fn module(&self, name: &str) -> Option<&Arc<CodeFile>> {
        let exact = self.modules.get(name);
        if !name.contains('.') {
            return exact.map(|(_, file)| file);
        }
        let slashed = self.modules.get(&name.replace('.', "/"));
        exact.into_iter().chain(slashed).min_by_key(|(rank, _)| *rank).map(|(_, file)| file)
    }

    pub(crate) fn hashes(&self) -> HashSet<u128> {
        self.files.values().chain(self.library.values()).map(|f| f.hash).collect()
    }

    /// Whether `function` is now warned for the first time.
    pub(crate) fn warn_once(&self, function: &FunctionName) -> bool {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(function.clone())
    }
}

impl weir_library::Files for Code {
    fn version(&self) -> &str {
        &self.version
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(|text| &**text)
    }
}

impl CodeFile {
    fn compile(path: String, source: Vec<u8>, hash: u128) -> Self {
        let compiled = compile(&source).map(Arc::from).map_err(|(line, message)| {
            let frame = line.map(|l| code_frame(&source, l)).unwrap_or_default();
            CodeError { file: path.clone(), line, message, frame }
        });
        Self { path: path.into(), source, hash, compiled }
    }

    fn warnings(&self) -> Vec<CodeError> {
        let told = |line, message| {
            let frame = Option::map_or(line, String::new(), |l| code_frame(&self.source, l));
            CodeError { file: self.path.to_string(), line, message, frame }
        };
        let module = self.path.strip_prefix("lib/").and_then(|p| p.strip_suffix(".lua"));
        match module.map(|name| (name, modules::owner(name))) {
            Some((name, Owner::Weir)) => {
                return vec![told(None, format!("is never loaded: `require {name:?}` is always Weir's"))];
            }
            Some((name, Owner::ProjectOrWeir)) => {
                let message = format!("hides a module of Weir's, which is still there as \"weir/{name}\"");
                return vec![told(None, message)];
            }
            // tests may end a process, and their libraries print
            _ if self.path.starts_with("test/") || module == Some("luaunit") => return Vec::new(),
            _ => {}
        }
        dialect::uses(&self.source).into_iter().map(|m| told(Some(m.line), m.message)).collect()
    }

    /// The bytecode, or the failure of whoever needs it.
    pub(crate) fn bytecode(&self) -> Result<&Arc<[u8]>, Failure> {
        self.compiled.as_ref().map_err(load_failure)
    }
}

/// Bytecode, or the line and what is wrong there.
fn compile(source: &[u8]) -> Result<Vec<u8>, (Option<usize>, String)> {
    // level 2 puts functions into each other
    let level = if dialect::counts_levels(source) { 1 } else { 2 };
    let compiler = mlua::chunk::Compiler::new().set_optimization_level(level).set_debug_level(1);
    // what `ngx.status` is, must not be settled when the code is loaded
    let compiler = compiler.add_mutable_global("ngx");
    let translated = dialect::translate(source).map_err(|m| (Some(m.line), m.message))?;
    compiler.compile(&*translated).map_err(|error| {
        let (line, message) = split_line(&error);
        let known = line.and_then(|l| dialect::explain(source, l));
        (line, known.unwrap_or(message))
    })
}

/// The compiler says `12: text`, without the file.
fn split_line(error: &mlua::Error) -> (Option<usize>, String) {
    let text = match error {
        mlua::Error::SyntaxError { message, .. } => message.trim_start_matches(':').to_owned(),
        other => other.to_string(),
    };
    let parsed = text.split_once(": ");
    match parsed.and_then(|(line, message)| Some((line.parse().ok()?, message.to_owned()))) {
        Some((line, message)) => (Some(line), message),
        None => (None, text),
    }
}

/// The name of the function in this file, if it is one's; an error if the name is not well-formed.
fn function_of(path: &str) -> Option<Result<FunctionName, weir_schema::InvalidName>> {
    let name = path.strip_prefix("app/")?.strip_suffix(".lua")?;
    (name != "gateway").then(|| FunctionName::new(name))
}

/// Every name of every file, by the first of the folders where it is found.
fn modules_of(files: &BTreeMap<Arc<str>, Arc<CodeFile>>) -> HashMap<String, (usize, Arc<CodeFile>)> {
    let mut modules = HashMap::new();
    for (rank, folder) in ["app/", "lib/", ""].into_iter().enumerate() {
        for (path, file) in files {
            if let Some(name) = path.strip_prefix(folder).and_then(|p| p.strip_suffix(".lua")) {
                modules.entry(name.to_owned()).or_insert_with(|| (rank, file.clone()));
            }
        }
    }
    modules
}

fn bad_name(path: &str) -> Option<CodeError> {
    let error = function_of(path)?.err()?;
    Some(mistake(path, error.to_string()))
}

fn mistake(file: &str, message: String) -> CodeError {
    CodeError { file: file.to_owned(), line: None, message, frame: String::new() }
}

fn is_template(path: &str) -> bool {
    path.starts_with("templates/")
}

fn hash_of(path: &str, source: &[u8]) -> u128 {
    xxh3_128(path.as_bytes()) ^ xxh3_128(source).rotate_left(1)
}

#[derive(Default)]
struct Sources {
    files: BTreeMap<String, Vec<u8>>,
    mistakes: Vec<CodeError>,
}

impl Sources {
    fn mistake(&mut self, file: &str, message: String) {
        self.mistakes.push(mistake(file, message));
    }
}

fn read_sources(root: &Path) -> Sources {
    let mut sources = Sources::default();
    read_folder(root, "", &mut sources);
    sources
}

fn read_folder(root: &Path, below: &str, sources: &mut Sources) {
    let entries = match std::fs::read_dir(root.join(below)) {
        Ok(entries) => entries,
        Err(error) => return sources.mistake(below, format!("read the folder: {error}")),
    };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else { continue };
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        // of the target, so that linked files and folders count; a link that leads nowhere is no code
        let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
        let is_link = entry.file_type().is_ok_and(|t| t.is_symlink());
        if meta.is_dir() {
            // a linked folder may lead back up, and so never end
            if !is_link && !NO_CODE.contains(&name) && !name.starts_with('.') {
                read_folder(root, &path, sources);
            }
        } else if name.ends_with(".lua") || is_template(&path) {
            read_file(root, path, meta.len(), sources);
        }
    }
}

fn read_file(root: &Path, path: String, size: u64, sources: &mut Sources) {
    if size > MAX_SOURCE {
        return sources
            .mistake(&path, format!("{size} bytes of source; the limit is {MAX_SOURCE}: split it"));
    }
    match std::fs::read(root.join(&path)) {
        Ok(source) => {
            sources.files.insert(path, source);
        }
        Err(error) => sources.mistake(&path, format!("read the file: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_kept_with_its_file_line_and_frame() {
        let code = Code::from_sources([
            ("app/good.lua", "return function() end"),
            ("app/bad.lua", "local x = 1\nlocal y = = 2\nreturn x"),
            ("lib/worse.lua", "return ("),
            ("app/gateway.lua", "return {}"),
        ]);
        let errors: Vec<_> = code.errors().iter().map(|e| (e.file.as_str(), e.line)).collect();
        assert_eq!(errors, [("app/bad.lua", Some(2)), ("lib/worse.lua", Some(1))]);
        assert_eq!(code.errors()[0].frame, "  1 | local x = 1\n> 2 | local y = = 2\n  3 | return x\n");
        let functions: Vec<_> = code.functions().iter().map(ToString::to_string).collect();
        assert_eq!(functions, ["bad", "good"]);
    }

    #[test]
    fn the_version_changes_with_any_byte_and_with_any_name() {
        let version = |path, source| Code::from_sources([(path, source)]).version().clone();
        let base = version("app/a.lua", "return 1");
        assert_eq!(base.len(), 16);
        assert_eq!(base, version("app/a.lua", "return 1"));
        assert_ne!(base, version("app/a.lua", "return 2"));
        assert_ne!(base, version("app/b.lua", "return 1"));
    }

    #[test]
    fn a_reload_keeps_what_did_not_change_and_skips_folders_without_code() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        write("app/a.lua", "return 1");
        write("app/b.lua", "return 1");
        write("node_modules/x.lua", "return 1");
        write(".weir/x.lua", "return 1");
        let old = Code::load(dir.path());
        write("app/b.lua", "return 2");
        let new = old.reload(dir.path());
        assert!(Arc::ptr_eq(old.file("app/a.lua").expect("a"), new.file("app/a.lua").expect("a")));
        assert_ne!(old.version(), new.version());
        assert_eq!(new.files.len(), 2);
    }

    #[test]
    fn a_source_past_the_cap_is_a_mistake_not_a_stall() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(dir.path().join("app")).expect("a folder");
        std::fs::write(dir.path().join("app/big.lua"), vec![b' '; (1 << 20) + 1]).expect("a file");
        let code = Code::load(dir.path());
        assert_eq!(code.errors().len(), 1);
        assert_eq!(code.errors()[0].file, "app/big.lua");
    }
}
