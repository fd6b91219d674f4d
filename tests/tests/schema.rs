//! Every key that the library can write is one that QEMU knows, in every version.

use qemu_dsl::accel::Architecture;
use tests::schema::{Binary, Finding, findings};
use tests::{qemus, side_by_side};

#[test]
fn qemu_knows_every_key() {
    let mut faults = Vec::new();
    for qemu in qemus() {
        for arch in [Architecture::X86_64, Architecture::Aarch64, Architecture::Riscv64] {
            let dir = tempfile::tempdir().unwrap();
            let found = findings(&mut Binary::start(&qemu, arch, dir.path()));
            let there = found.iter().filter(|finding| finding.found.is_some()).count();
            println!("QEMU {} ({arch}): {there} of {} are there", qemu.version, found.len());
            assert!(there > 100, "only {there} were found");
            let wrong = found.iter().filter_map(Finding::fault);
            faults.extend(wrong.map(|fault| format!("QEMU {} ({arch}): {fault}", qemu.version)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_report_is_up_to_date() {
    if std::env::var_os("QEMU_DSL_ALL_QEMUS").is_none() {
        eprintln!("NOT CHECKED: docs/conformance.md needs all four QEMUs: scripts/test --all-qemus");
        return;
    }
    let page = std::fs::read_to_string(tests::root().join("docs/conformance.md")).unwrap_or_default();
    let made = tests::schema::markdown(&side_by_side());
    assert!(page == made, "docs/conformance.md is old: run `cargo run -p tests --bin conformance`");
}
