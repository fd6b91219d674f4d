//! The recipes of CONTRIBUTING.md, each tried: its diff applies to these sources, and what comes of it compiles and passes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What belongs to the sources: all but what was built, and what git knows.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, kind) = (entry.file_name(), entry.file_type().unwrap());
        if name == "target" || name == ".git" {
            continue;
        }
        let to = to.join(&name);
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The diffs, each with the headline above it.
fn recipes(page: &str) -> Vec<(&str, &str)> {
    let sections = page.split("\n### ").skip(1);
    sections
        .filter_map(|section| {
            let diff = section.split_once("```diff\n")?.1.split_once("\n```\n")?.0;
            Some((section.lines().next()?, diff))
        })
        .collect()
}

fn run(dir: &Path, program: &str, args: &[&str], target: &Path) {
    let output = Command::new(program).args(args).current_dir(dir).env("CARGO_TARGET_DIR", target).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

#[test]
fn each_recipe_works() {
    let page = std::fs::read_to_string(tests::root().join("CONTRIBUTING.md")).unwrap();
    let recipes = recipes(&page);
    assert_eq!(
        recipes.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["A device", "A back end", "A machine type", "A rule", "A probe"]
    );
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("sources");
    copy(tests::root(), &dir);
    for (name, diff) in recipes {
        let patch: PathBuf = scratch.path().join("recipe.diff");
        std::fs::write(&patch, format!("{diff}\n")).unwrap();
        let output = Command::new("git")
            .args(["apply", "--whitespace=nowarn"])
            .arg(&patch)
            .current_dir(&dir)
            .env("GIT_CEILING_DIRECTORIES", scratch.path())
            .output()
            .expect("git applies diffs");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // A target of its own: cargo would take the copy's packages for these.
    let target = tests::root().join("target/tests/contributing");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    run(&dir, &cargo, &["fmt", "--all", "--check"], &target);
    let test = |package: &str, more: &[&str]| {
        run(&dir, &cargo, &[&["test", "--offline", "--quiet", "--package", package], more].concat(), &target);
    };
    test("qemu-dsl", &["--lib", "catalogue"]);
    test("qemu-dsl", &["--doc", "--", "Edu", "Ringbuf", "SbsaRef"]);
    test("tests", &["--test", "rules", "every_rule"]);
    test("tests", &["--test", "house"]);
}
