//! Measures everything and writes `docs/performance.md`: `scripts/bench`.

use benches::alloc::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> std::io::Result<()> {
    std::fs::write(tests::root().join("docs/performance.md"), benches::report::markdown())
}
