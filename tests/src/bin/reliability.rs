//! Writes `docs/reliability.md`.

fn main() -> std::io::Result<()> {
    std::fs::write(tests::root().join("docs/reliability.md"), tests::faults::markdown())
}
