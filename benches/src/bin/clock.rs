//! The moment at which a program starts, in nanoseconds of the monotonic clock.

fn main() {
    println!("{}", benches::spawn::now());
}
