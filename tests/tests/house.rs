//! The house as docs/architecture.md draws it: nothing uses what stands above it, and no file has two jobs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The modules of the table in docs/architecture.md, and the row of each.
fn rows() -> BTreeMap<String, usize> {
    let page = std::fs::read_to_string(tests::root().join("docs/architecture.md")).unwrap();
    let table = page.split_once("| module | what lives there |").expect("the table of modules").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|')).enumerate();
    rows.flat_map(|(row, line)| {
        let names = line.split('|').nth(1).unwrap_or_default().to_owned();
        names.split(',').map(|name| (name.trim().trim_matches('`').to_owned(), row)).collect::<Vec<_>>()
    })
    .collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

/// The code of a file, without its comments and tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What the crate's root shows of its modules: `QemuVersion` is of `version`.
fn shown() -> BTreeMap<String, String> {
    let root = code(&tests::root().join("qemu-dsl/src/lib.rs"));
    let uses = root.lines().filter_map(|line| line.strip_prefix("pub use ")?.trim_end_matches(';').split_once("::"));
    uses.flat_map(|(module, names)| {
        let names = names.trim_matches(['{', '}']).split(", ");
        names.map(|name| (name.to_owned(), module.to_owned())).collect::<Vec<_>>()
    })
    .collect()
}

/// The library's own modules, and what its root shows of them, that a file names.
fn used(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices("crate::")
        .filter_map(|(at, word)| {
            let rest = &code[at + word.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            if rest.starts_with('{') {
                // A list of what the root shows.
                return Some(rest[1..rest.find('}')?].split(", ").collect::<Vec<_>>());
            }
            Some(vec![&rest[..end]]).filter(|name| name != &[""])
        })
        .flatten()
}

#[test]
fn nothing_imports_upwards() {
    let (rows, shown) = (rows(), shown());
    assert!(shown.len() > 8, "{shown:?}");
    let src = tests::root().join("qemu-dsl/src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    let (mut upwards, mut imports) = (Vec::new(), 0);
    for path in &found {
        let inside = path.strip_prefix(&src).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        // What shows all floors to users, and to derived code.
        if ["lib", "prelude", "__private"].contains(&&*first) {
            continue;
        }
        let own = *rows.get(&first).unwrap_or_else(|| panic!("`{first}` is not in the table of docs/architecture.md"));
        for name in used(&code(path)) {
            imports += 1;
            let name = shown.get(name).map_or(name, String::as_str);
            if rows.get(name).is_some_and(|row| *row > own) {
                upwards.push(format!("{} uses {name}", inside.display()));
            }
        }
    }
    assert!(imports > 300, "{imports} imports");
    assert!(upwards.is_empty(), "upwards:\n{}", upwards.join("\n"));
}

/// Longer than 500 lines are those files that say why.
#[test]
fn long_files_have_a_reason() {
    let mut found = Vec::new();
    for package in ["qemu-dsl", "qemu-dsl-macros", "tests", "examples", "benches", "ui-tests"] {
        let dir = tests::root().join(package);
        for dir in ["src", "tests"].map(|part| dir.join(part)) {
            if dir.is_dir() {
                sources(&dir, &mut found);
            }
        }
    }
    assert!(found.len() > 150, "{} files", found.len());
    let long = found.iter().filter(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().count() > 550 && !text.contains("onger than other files")
    });
    let long: Vec<_> = long.map(|path| path.strip_prefix(tests::root()).unwrap().display().to_string()).collect();
    let page = std::fs::read_to_string(tests::root().join("docs/architecture.md")).unwrap();
    let unsaid: Vec<_> =
        long.into_iter().filter(|path| !page.contains(path.trim_start_matches("qemu-dsl/src/"))).collect();
    assert!(unsaid.is_empty(), "no reason is given for the length of {unsaid:?}");
}
