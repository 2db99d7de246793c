//! Finds the paths in the code of a file and resolves them to modules.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{File, Token};

/// A path as it is written, in the module that contains it.
#[derive(Debug, Clone)]
struct Path {
    within: Vec<String>,
    segments: Vec<String>,
    import: Option<Import>,
}

/// A path in a `use` item.
#[derive(Debug, Clone)]
struct Import {
    /// The name that it introduces; `*` for all names.
    name: String,
    is_public: bool,
}

/// One file's use of an item of another module.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The index of the file in the list.
    pub file: usize,
    /// The module that defines the item.
    pub module: Vec<String>,
    /// The module that the path names, which may only re-export the item.
    pub named: Vec<String>,
    /// The path as it is written.
    pub written: String,
    /// Whether it is a re-export (`pub use`).
    pub is_reexport: bool,
}

/// A use of an item of another crate.
#[derive(Debug, Clone)]
pub struct External {
    pub file: usize,
    pub written: String,
}

/// Maximum number of imports that are followed from a path to its definition. Only modules that import each other's
/// names exceed it.
const MAX_IMPORTS: usize = 8;

/// All modules, and the names that they import.
#[derive(Default)]
struct Names {
    modules: BTreeSet<Vec<String>>,
    /// Imported names and their paths, by module.
    imports: BTreeMap<Vec<String>, Vec<(String, Path)>>,
}

/// All uses between the modules of the crate, and all uses of other crates.
pub fn references(files: &[File]) -> (Vec<Reference>, Vec<External>) {
    let mut names = Names::default();
    let mut paths = Vec::new();
    for (index, file) in files.iter().enumerate() {
        names.modules.insert(file.module.clone());
        let mut parser =
            Parser { tokens: &file.tokens, within: file.module.clone(), paths: Vec::new(), inline: Vec::new() };
        parser.parse();
        names.modules.extend(parser.inline);
        paths.extend(parser.paths.into_iter().map(|path| (index, path)));
    }
    for (_, path) in &paths {
        if let Some(import) = &path.import {
            names.imports.entry(path.within.clone()).or_default().push((import.name.clone(), path.clone()));
        }
    }
    let (mut references, mut externals) = (Vec::new(), Vec::new());
    for (file, path) in &paths {
        let written = path.segments.join("::");
        let is_reexport = path.import.as_ref().is_some_and(|import| import.is_public);
        match (names.resolve(path, 0), names.resolve(path, MAX_IMPORTS)) {
            (Some(module), Some(named)) => {
                references.push(Reference { file: *file, module, named, written, is_reexport })
            }
            _ => externals.push(External { file: *file, written }),
        }
    }
    (references, externals)
}

impl Names {
    /// The module that defines the item of a path; `None` for an item of another crate. `depth` is the number of
    /// imports that were followed to reach this path.
    fn resolve(&self, path: &Path, depth: usize) -> Option<Vec<String>> {
        let mut module = path.within.clone();
        let mut segments = path.segments.iter();
        let first = segments.next()?;
        match first.as_str() {
            "crate" | "hatchet_quickstart" => module.clear(),
            "self" => {}
            "super" => drop(module.pop()),
            name => {
                let mut child = module.clone();
                child.push(name.to_owned());
                if !self.modules.contains(&child) {
                    return None;
                }
                module = child;
            }
        }
        for segment in segments {
            if segment == "super" {
                module.pop();
                continue;
            }
            let mut child = module.clone();
            child.push(segment.clone());
            if self.modules.contains(&child) {
                module = child;
            } else {
                return Some(self.definition(&module, segment, depth));
            }
        }
        Some(module)
    }

    /// The module that defines a name of this module: another module if the name is imported.
    fn definition(&self, module: &[String], name: &str, depth: usize) -> Vec<String> {
        if depth < MAX_IMPORTS {
            for (imported, path) in self.imports.get(module).into_iter().flatten() {
                if imported == name
                    && let Some(found) = self.resolve(path, depth + 1)
                {
                    return found;
                }
            }
        }
        module.to_vec()
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    within: Vec<String>,
    paths: Vec<Path>,
    /// Modules with their body in this file.
    inline: Vec<Vec<String>>,
}

impl Parser<'_> {
    fn parse(&mut self) {
        let (mut index, mut depth) = (0, 0_usize);
        // The depths at which inline modules start.
        let mut modules = Vec::new();
        let mut is_public = false;
        while let Some(token) = self.tokens.get(index) {
            match token {
                Token::Ident(ident) if ident == "pub" => {
                    is_public = true;
                    index += 1;
                    // `pub(crate)`, `pub(in crate::x)`
                    if self.tokens.get(index).is_some_and(|token| token.is('(')) {
                        while self.tokens.get(index).is_some_and(|token| !token.is(')')) {
                            index += 1;
                        }
                        index += 1;
                    }
                    continue;
                }
                Token::Ident(ident) if ident == "use" && !self.tokens.get(index + 1).is_some_and(|t| t.is('<')) => {
                    index = self.import(index + 1, Vec::new(), is_public);
                }
                Token::Ident(ident) if ident == "mod" => {
                    if let (Some(Token::Ident(name)), true) =
                        (self.tokens.get(index + 1), self.tokens.get(index + 2).is_some_and(|token| token.is('{')))
                    {
                        self.within.push(name.clone());
                        self.inline.push(self.within.clone());
                        modules.push(depth);
                        depth += 1;
                        index += 3;
                    } else {
                        index += 2;
                    }
                }
                Token::Ident(_) => index = self.path(index),
                Token::Punctuation('{') => {
                    depth += 1;
                    index += 1;
                }
                Token::Punctuation('}') => {
                    depth = depth.saturating_sub(1);
                    if modules.last() == Some(&depth) {
                        modules.pop();
                        self.within.pop();
                    }
                    index += 1;
                }
                _ => index += 1,
            }
            is_public = false;
        }
    }

    /// Reads a path in an expression or type. Returns the index after it.
    fn path(&mut self, start: usize) -> usize {
        let mut index = start;
        let mut segments = Vec::new();
        while let Some(Token::Ident(segment)) = self.tokens.get(index) {
            segments.push(segment.clone());
            index += 1;
            if self.tokens.get(index) != Some(&Token::PathSeparator) {
                break;
            }
            index += 1;
        }
        // The rest of a qualified path, as in `<T as Trait>::f`, names no module.
        let continues = start > 0 && self.tokens[start - 1] == Token::PathSeparator;
        if segments.len() > 1 && !continues {
            self.paths.push(Path { within: self.within.clone(), segments, import: None });
        }
        index
    }

    /// Reads a tree of a `use` item, such as `a::{b, c as d}`. Returns the index after it.
    fn import(&mut self, mut index: usize, mut prefix: Vec<String>, is_public: bool) -> usize {
        loop {
            match self.tokens.get(index) {
                Some(Token::Ident(segment)) => {
                    prefix.push(segment.clone());
                    index += 1;
                }
                Some(Token::Punctuation('*')) => {
                    self.add(prefix, "*".to_owned(), is_public);
                    return index + 1;
                }
                Some(Token::Punctuation('{')) => {
                    index += 1;
                    while self.tokens.get(index).is_some_and(|token| !token.is('}')) {
                        index = self.import(index, prefix.clone(), is_public);
                        if self.tokens.get(index).is_some_and(|token| token.is(',')) {
                            index += 1;
                        }
                    }
                    return index + 1;
                }
                _ => return index + 1,
            }
            match self.tokens.get(index) {
                Some(Token::PathSeparator) => index += 1,
                Some(token) if token.is_ident("as") => {
                    if let Some(Token::Ident(name)) = self.tokens.get(index + 1) {
                        self.add(prefix, name.clone(), is_public);
                    }
                    return index + 2;
                }
                _ => {
                    let name = prefix.last().cloned().unwrap_or_default();
                    self.add(prefix, name, is_public);
                    return index;
                }
            }
        }
    }

    fn add(&mut self, mut segments: Vec<String>, name: String, is_public: bool) {
        let mut name = name;
        // `use a::{self}` is `use a`.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
            name = segments.last().cloned().unwrap_or_default();
        }
        self.paths.push(Path { within: self.within.clone(), segments, import: Some(Import { name, is_public }) });
    }
}
