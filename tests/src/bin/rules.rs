//! Writes `docs/rules.md`.

fn main() -> std::io::Result<()> {
    std::fs::write(tests::root().join("docs/rules.md"), tests::rules::markdown())
}
