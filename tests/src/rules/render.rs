//! `docs/rules.md`.

use std::fmt::Write as _;

use qemu_dsl::QemuVersion;

use super::{Does, Held, Loss, RULES, Rule, Twin};
use crate::root;

/// The versions in the tables.
const VERSIONS: [QemuVersion; 4] =
    [QemuVersion::new(5, 2, 0), QemuVersion::new(7, 2, 0), QemuVersion::new(10, 0, 0), QemuVersion::new(11, 1, 0)];

/// The page.
///
/// # Panics
///
/// When a file that the table names is not there.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    page += "\n| # | mistake | found by | QEMU 5.2 | 7.2 | 10.0 | 11.1 |\n|---|---|---|---|---|---|---|\n";
    for (number, rule) in RULES.iter().enumerate() {
        let found = match rule.held {
            Held::Compiler(_) => "compiler",
            Held::RunTime { .. } => "error before the start",
            Held::Replaced { .. } => "cannot be written",
        };
        let _ = write!(page, "| [{0}](#rule-{0}) | {1} | {found} |", number + 1, rule.of().title);
        for version in VERSIONS {
            let _ = write!(
                page,
                " {} |",
                rule.twins.iter().map(|twin| word(twin.outcome(version))).collect::<Vec<_>>().join("; ")
            );
        }
        page += "\n";
    }
    let starts = |does: Does| !matches!(does, Does::Rejects(_));
    let missed = RULES.iter().filter(|rule| rule.twins.iter().any(|twin| starts(twin.outcome(VERSIONS[3])))).count();
    let compiled = RULES.iter().filter(|rule| matches!(rule.held, Held::Compiler(_))).count();
    let _ = writeln!(
        page,
        "\n{} rules, {compiled} of them the compiler's. QEMU 11.1 starts in spite of {missed} of these mistakes.",
        RULES.len()
    );
    for (number, rule) in RULES.iter().enumerate() {
        section(&mut page, number + 1, rule);
    }
    page
}

const INTRODUCTION: &str = "\
# Rules

What cannot be built, what the compiler or the library says, and what QEMU makes of the same mistake written by hand. Made by
`cargo run -p tests --bin rules`; `cargo test -p tests --test rules` makes each mistake with real QEMU binaries and checks what
is said here of them, and `cargo test -p ui-tests` checks the compiler's messages.

Where types can hold a rule without hurting those who use them, the compiler does. Where a count or a value decides, a constructor
or `build` returns an error; nothing is started then either.

*Rejects*: QEMU ends with a message. *Accepts*: it starts, and says nothing. The others start too, and the guest suffers.
";

fn word(does: Does) -> &'static str {
    match does {
        Does::Rejects(_) => "rejects",
        Does::Accepts => "accepts",
        Does::Boots => "boots",
        Does::Loses(Loss::Console) => "**silent: no console output**",
        Does::Loses(Loss::Abort) => "**aborts while the guest boots**",
        Does::Loses(Loss::Boot | Loss::BootWith(_)) => "**silent: never boots**",
        Does::Loses(Loss::Template) => "**silent: changes the template**",
        Does::Loses(Loss::Cmdline) => "**silent: parameters are lost**",
    }
}

fn section(page: &mut String, number: usize, rule: &Rule) {
    let words = rule.of();
    let policy = if words.is_policy { " (policy)" } else { "" };
    let _ = writeln!(page, "\n## Rule {number}\n\n`{}`{policy}: {}. {}\n", words.id, words.title, words.why);
    match rule.held {
        Held::Compiler(cases) => {
            let case = root().join("ui-tests/ui").join(cases[0]);
            let read = |extension: &str| {
                let path = case.with_extension(extension);
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            };
            let message = read("stderr");
            // What follows shows the library's own lines.
            let message = message.split("\nnote: required by a bound").next().unwrap_or_default();
            let _ = writeln!(page, "```rust,ignore\n{}```\n\n```text\n{}\n```\n", read("rs"), message.trim_end());
            let others: Vec<_> =
                cases[1..].iter().map(|case| format!("[{case}](../ui-tests/ui/{case}.stderr)")).collect();
            if !others.is_empty() {
                let _ = writeln!(page, "Also: {}.\n", others.join(", "));
            }
        }
        Held::RunTime { source, error } => {
            let _ = writeln!(page, "```rust,ignore\n{}\n```\n\n```text\n{}\n```\n", code(source), error());
        }
        Held::Replaced { source, command } => {
            let _ = writeln!(page, "```rust,ignore\n{}\n```\n\n```text\n{}\n```\n", code(source), command());
        }
    }
    for twin in rule.twins {
        describe(page, twin);
    }
}

/// An included block without its braces and indentation, and without its last line, which only ends it.
fn code(source: &str) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let inner = &lines[1..lines.len() - 2];
    inner.iter().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn describe(page: &mut String, twin: &Twin) {
    let args = twin.args.replace('\t', " ").replace("{long}", "x...x");
    let _ = writeln!(page, "`{} {args}`\n", twin.arch.qemu_binary());
    for (versions, does) in twin.does {
        let versions = versions.replace(' ', ", ");
        let _ = match does {
            Does::Rejects(message) => writeln!(page, "- {versions}: rejects: `...{message}...`"),
            Does::Accepts => writeln!(page, "- {versions}: accepts, and says nothing"),
            Does::Boots => writeln!(page, "- {versions}: accepts, and the guest boots"),
            Does::Loses(Loss::Console) => writeln!(
                page,
                "- {versions}: accepts; the guest runs, its agent answers, and its console shows not one byte"
            ),
            Does::Loses(Loss::Abort) => writeln!(page, "- {versions}: accepts; QEMU aborts while the guest boots"),
            Does::Loses(Loss::Boot) => {
                writeln!(page, "- {versions}: accepts; the guest never gets as far as its agent")
            }
            Does::Loses(Loss::BootWith(message)) => {
                writeln!(page, "- {versions}: accepts; the guest never gets as far as its agent (`{message}`)")
            }
            Does::Loses(Loss::Cmdline) => {
                writeln!(page, "- {versions}: accepts; the guest runs without the last of its kernel parameters")
            }
            Does::Loses(Loss::Template) => writeln!(
                page,
                "- {versions}: accepts; pages that the balloon takes are punched out of the template file, although it is mapped copy-on-write"
            ),
        };
    }
    page.push('\n');
}
