//! Measures the frame filter, and prints that section of `docs/performance.md`.

fn main() {
    let mut page = String::new();
    benches::report::network(&mut page);
    print!("{page}");
}
