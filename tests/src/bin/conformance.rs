//! Writes `docs/conformance.md`, from the QEMUs that `scripts/setup qemus` has put side by side.

fn main() -> std::io::Result<()> {
    std::fs::write(tests::root().join("docs/conformance.md"), tests::schema::markdown(&tests::side_by_side()))
}
