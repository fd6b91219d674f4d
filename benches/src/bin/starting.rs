//! Measures starting a program alone, and prints the section.

fn main() {
    let mut page = String::new();
    benches::report::starting(&mut page);
    print!("{page}");
}
