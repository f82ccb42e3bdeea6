//! Inside a crate, imports run one way: no cycle between files, and nothing imports through the crate root.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, UseTree};

use super::{Source, report, sources};

/// A module, as the names that lead to it from the crate root.
type Module = Vec<String>;

/// The files of one crate and what each of them imports.
struct Crate {
    files: BTreeMap<Module, String>,
    imports: BTreeMap<Module, BTreeSet<Module>>,
    through_the_root: Vec<String>,
}

/// The module that a file below `src/` defines; `lib.rs` and `main.rs` are the root.
fn module_of(path: &str) -> Module {
    let name = path.strip_suffix(".rs").unwrap_or(path);
    match name {
        "lib" | "main" => Vec::new(),
        _ => name.split('/').map(str::to_owned).collect(),
    }
}

/// Whether an item is compiled for tests only.
fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The paths in one file that start with `crate`, `self` or `super`, each as names from the crate root.
struct PathCollector {
    /// The module whose code is visited: that of the file, or of a module inside it.
    module: Module,
    found: BTreeSet<Module>,
    /// Modules in files of their own that are compiled for tests only.
    test_modules: Vec<Module>,
}

impl PathCollector {
    fn new(module: Module) -> Self {
        Self { module, found: BTreeSet::new(), test_modules: Vec::new() }
    }

    fn add(&mut self, names: &[String]) {
        let Some((first, mut rest)) = names.split_first() else { return };
        let mut full = self.module.clone();
        match first.as_str() {
            "crate" => full.clear(),
            "self" => {}
            "super" => {
                full.pop();
                while let Some((next, after)) = rest.split_first()
                    && next == "super"
                {
                    full.pop();
                    rest = after;
                }
            }
            _ => return,
        }
        full.extend(rest.iter().cloned());
        self.found.insert(full);
    }

    fn add_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(path.ident.to_string()), &path.tree),
            UseTree::Name(name) => self.add(&with(name.ident.to_string())),
            UseTree::Rename(rename) => self.add(&with(rename.ident.to_string())),
            UseTree::Glob(_) => self.add(prefix),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.add_tree(prefix, item)),
        }
    }

    /// Paths inside the arguments of a macro, which are not parsed as code.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Ident(ident) if ident == "crate" || ident == "super" => {
                    let names = path_at(tokens.get(at..).unwrap_or_default());
                    if names.len() > 1 {
                        self.add(&names);
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

/// The names of the path at the start of `tokens`.
fn path_at(tokens: &[TokenTree]) -> Vec<String> {
    let mut names = Vec::new();
    for chunk in tokens.chunks(3) {
        let Some(TokenTree::Ident(ident)) = chunk.first() else { break };
        names.push(ident.to_string());
        let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        if !is_colon(chunk.get(1)) || !is_colon(chunk.get(2)) {
            break;
        }
    }
    names
}

impl<'ast> Visit<'ast> for PathCollector {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_only(attributes_of(item)) {
            visit::visit_item(self, item);
        } else if let Item::Mod(module) = item {
            self.test_modules.push([self.module.as_slice(), &[module.ident.to_string()]].concat());
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.add(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        // An exported macro lives in the root wherever it is written, so its own path says nothing.
        self.add_tokens(called.tokens.clone());
    }
}

impl Crate {
    /// Reads the files of one crate, given by their paths below `src/`.
    fn read<'a>(sources: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut found = BTreeMap::new();
        let mut tests = Vec::new();
        let mut files = BTreeMap::new();
        for (path, text) in sources {
            let module = module_of(path);
            let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
            let mut collector = PathCollector::new(module.clone());
            collector.visit_file(&parsed);
            tests.append(&mut collector.test_modules);
            // A program's root and a library's root are one module here.
            found.entry(module.clone()).or_insert_with(BTreeSet::new).append(&mut collector.found);
            files.insert(module, path.to_owned());
        }
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        let mut this = Self { files, imports: BTreeMap::new(), through_the_root: Vec::new() };
        for (module, paths) in found {
            if this.files.contains_key(&module) {
                for path in &paths {
                    this.add_import(&module, path);
                }
            }
        }
        this
    }

    fn add_import(&mut self, from: &Module, path: &Module) {
        let target: Option<Module> = (0..=path.len())
            .rev()
            .filter_map(|length| path.get(..length))
            .find_map(|prefix| self.files.contains_key(prefix).then(|| prefix.to_vec()));
        let Some(target) = target else { return };
        if target.is_empty() {
            if !path.is_empty() && !from.is_empty() {
                self.through_the_root.push(format!("{} imports crate::{}", self.name(from), path.join("::")));
            }
            return;
        }
        // A parent and its children are one unit.
        if !from.is_empty() && !from.starts_with(&target) && !target.starts_with(from) {
            self.imports.entry(from.clone()).or_default().insert(target);
        }
    }

    fn name(&self, module: &Module) -> String {
        self.files.get(module).cloned().unwrap_or_else(|| module.join("::"))
    }

    /// Every cycle that a depth-first walk meets, as the files along it.
    fn cycles(&self) -> Vec<String> {
        let mut done = BTreeSet::new();
        let mut cycles = Vec::new();
        for module in self.imports.keys() {
            self.walk(module, &mut Vec::new(), &mut done, &mut cycles);
        }
        cycles
    }

    fn walk<'a>(
        &'a self,
        module: &'a Module,
        trail: &mut Vec<&'a Module>,
        done: &mut BTreeSet<&'a Module>,
        cycles: &mut Vec<String>,
    ) {
        if let Some(start) = trail.iter().position(|seen| *seen == module) {
            let along = trail.iter().skip(start).chain(std::iter::once(&module));
            cycles.push(along.map(|module| self.name(module)).collect::<Vec<_>>().join(" -> "));
            return;
        }
        if done.contains(module) {
            return;
        }
        trail.push(module);
        for next in self.imports.get(module).into_iter().flatten() {
            self.walk(next, trail, done, cycles);
        }
        trail.pop();
        done.insert(module);
    }
}

/// The crates of the workspace by name, each with what its files import.
fn crates() -> BTreeMap<String, Crate> {
    let sources = sources();
    let below_src = |source: &Source| {
        let rest = source.path.strip_prefix("crates/")?;
        let (package, file) = rest.split_once("/src/")?;
        source.is_rust().then(|| (package.to_owned(), file.to_owned()))
    };
    let mut by_crate: BTreeMap<String, Vec<(String, &str)>> = BTreeMap::new();
    for source in &sources {
        if let Some((package, file)) = below_src(source) {
            by_crate.entry(package).or_default().push((file, &source.text));
        }
    }
    let read =
        |files: Vec<(String, &str)>| Crate::read(files.iter().map(|(file, text)| (file.as_str(), *text)));
    by_crate.into_iter().map(|(package, files)| (package, read(files))).collect()
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_cycle() {
    let broken: Vec<String> = crates()
        .iter()
        .flat_map(|(package, read)| read.cycles().into_iter().map(move |cycle| format!("{package}: {cycle}")))
        .collect();
    report("imports inside a crate run one way", &broken);
}

#[test]
fn nothing_is_imported_through_a_crate_root() {
    let broken: Vec<String> = crates()
        .iter()
        .flat_map(|(package, read)| {
            read.through_the_root.iter().map(move |line| format!("{package}: {line}"))
        })
        .collect();
    report("a module imports from the module that defines the item", &broken);
}

#[test]
fn the_import_graph_sees_use_trees_paths_macros_and_leaves_tests_out() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d; pub use a::Item; #[cfg(test)] mod tests;"),
        ("a.rs", "use crate::{b::{self, Thing}, c}; pub struct Item; mod inner { use super::super::d; }"),
        ("a/child.rs", "use super::Item;"),
        ("b.rs", "fn f() { let _ = format!(\"{}\", crate::c::value()); }"),
        ("c.rs", "fn value() -> crate::a::Item { crate::a::Item }\n#[cfg(test)] mod tests { use crate::b; }"),
        ("d.rs", "use crate::Item;"),
        ("tests.rs", "use crate::{a, b, c, d};"),
    ];
    let read = Crate::read(files.into_iter());
    let names = |module: &str| -> Vec<String> {
        let found = read.imports.get(&module_of(module));
        found.into_iter().flatten().map(|module| module.join("::")).collect()
    };
    assert_eq!(names("a.rs"), ["b", "c", "d"]);
    assert_eq!(names("b.rs"), ["c"]);
    assert_eq!(names("c.rs"), ["a"]);
    assert_eq!(names("a/child.rs"), Vec::<String>::new());
    assert_eq!(names("tests.rs"), Vec::<String>::new());
    assert_eq!(read.through_the_root, ["d.rs imports crate::Item"]);
    assert_eq!(read.cycles(), ["a.rs -> b.rs -> c.rs -> a.rs"]);
}
