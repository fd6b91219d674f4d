//! `docs/conformance.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use qemu_dsl::accel::Architecture;

use super::{Binary, Finding, Said, findings};
use crate::Qemu;

const INTRODUCTION: &str = "\
# Conformance

Every option that the library can write, asked of the binaries themselves. Made by `scripts/setup qemus && cargo run -p tests --bin
conformance`; `cargo test -p tests --test schema` asks again, and fails on a key that a binary does not know, that it has before its
`since` or after its `until`, or that has another type. Asked are `device-list-properties`, `qom-list-properties`, `qom-list` of a
machine, `query-qmp-schema`, `query-cpu-definitions` and `query-command-line-options`; where none of them knows a key (the legacy names of
`-drive`), QEMU is started with it, and with a misspelt one, which it must refuse.

";

/// A table of things said, by version and architecture.
type Table = BTreeMap<Said, Vec<(usize, Finding)>>;

/// The page, from all of `qemus`.
///
/// # Panics
///
/// When a binary cannot be asked.
pub fn markdown(qemus: &[Qemu]) -> String {
    let mut table: Table = BTreeMap::new();
    let mut counts = String::from("| QEMU | guests | heads | keys | faults |\n|---|---|---|---|---|\n");
    for (column, qemu) in qemus.iter().enumerate() {
        for arch in [Architecture::X86_64, Architecture::Aarch64] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let found = findings(&mut Binary::start(qemu, arch, dir.path()));
            count(&mut counts, qemu, arch, &found);
            for finding in found {
                table.entry(finding.said.clone()).or_default().push((column, finding));
            }
        }
    }
    let mut page = INTRODUCTION.to_owned() + &counts;
    page += "\n## What differs between versions\n\n";
    header(&mut page, qemus);
    for (said, row) in &table {
        let is_there = |(_, finding): &(usize, Finding)| finding.found.is_some();
        if row.iter().any(is_there) && !row.iter().all(is_there) {
            line(&mut page, said, row, qemus);
        }
    }
    page += "\n## Everything\n\n";
    header(&mut page, qemus);
    for (said, row) in &table {
        line(&mut page, said, row, qemus);
    }
    page
}

fn count(counts: &mut String, qemu: &Qemu, arch: Architecture, found: &[Finding]) {
    let (heads, keys): (Vec<_>, Vec<_>) = found.iter().partition(|finding| finding.said.key.is_empty());
    let faults = found.iter().filter_map(Finding::fault).count();
    let version = qemu.version;
    let there = |list: &[&Finding]| list.iter().filter(|finding| finding.found.is_some()).count();
    let _ = writeln!(
        counts,
        "| {}.{} | {arch} | {} | {} | {faults} |",
        version.major,
        version.minor,
        there(&heads),
        there(&keys)
    );
}

fn header(page: &mut String, qemus: &[Qemu]) {
    let versions = qemus.iter().map(|qemu| format!("{}.{}", qemu.version.major, qemu.version.minor));
    let versions = versions.collect::<Vec<_>>().join(" | ");
    let _ = writeln!(page, "| option | type | {versions} |\n|---|---|{}", "---|".repeat(qemus.len()));
}

fn line(page: &mut String, said: &Said, row: &[(usize, Finding)], qemus: &[Qemu]) {
    let Said { flag, head, key } = said;
    let separator = if head.is_empty() || key.is_empty() { "" } else { "," };
    let types: BTreeSet<&str> = row.iter().filter_map(|(_, finding)| finding.found.as_deref()).collect();
    // An enum's words differ from version to version; that ours are among them is checked.
    let short = |name: &str| if name.len() > 24 { "enum".to_owned() } else { name.replace('|', "/") };
    let types = types.into_iter().map(short).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" or ");
    let _ = write!(page, "| `{flag} {head}{separator}{key}` | {types} |");
    for column in 0..qemus.len() {
        let of: Vec<&Finding> = row.iter().filter(|(of, _)| *of == column).map(|(_, finding)| finding).collect();
        let there = of.iter().filter(|finding| finding.found.is_some()).count();
        page.push_str(match there {
            0 => " no |",
            n if n == of.len() => " yes |",
            _ => " one architecture |",
        });
    }
    page.push('\n');
}
