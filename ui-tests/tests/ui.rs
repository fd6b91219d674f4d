//! Compiles the cases in `ui/`: each must fail with the message beside it, those in `ui/pass` must compile.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler whose messages are compared: that of rust-toolchain.toml.
const PINNED: &str = include_str!("../../rust-toolchain.toml");

#[test]
fn misuses_fail_to_compile_and_say_why() {
    let cases = Path::new("ui");
    let cases = if compiler_is_pinned() {
        cases.to_owned()
    } else {
        eprintln!(
            "\nNOT COMPARED: this is another compiler than the pinned one; the cases must fail, whatever it says\n"
        );
        without_messages(cases)
    };
    let tests = trybuild::TestCases::new();
    for kind in sorted(&cases).iter().filter(|kind| kind.is_dir() && !kind.ends_with("pass")) {
        for case in sorted(kind).iter().filter(|case| case.extension().is_some_and(|extension| extension == "rs")) {
            tests.compile_fail(case);
        }
    }
}

// A test of its own: `pass` cases are built and run, which slows the others when they share a project.
#[test]
fn valid_counterparts_compile() {
    trybuild::TestCases::new().pass("ui/pass/*.rs");
}

fn compiler_is_pinned() -> bool {
    let channel = PINNED.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'));
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output();
    let version = String::from_utf8(output.expect("rustc runs").stdout).expect("its version is text");
    version.split_whitespace().nth(1) == channel
}

/// A copy of the cases without the expected messages.
fn without_messages(cases: &Path) -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui-without-messages");
    let _ = std::fs::remove_dir_all(&copy);
    for kind in sorted(cases) {
        let to = copy.join(kind.file_name().expect("a directory has a name"));
        std::fs::create_dir_all(&to).expect("the target directory can be written");
        for case in sorted(&kind).iter().filter(|case| case.extension().is_some_and(|extension| extension == "rs")) {
            std::fs::copy(case, to.join(case.file_name().expect("a file has a name"))).expect("the case can be copied");
        }
    }
    copy
}

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    paths.sort();
    paths
}
