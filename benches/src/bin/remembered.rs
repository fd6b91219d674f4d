//! How long a probe takes whose answers are in a file: `remembered CACHE` prints milliseconds.

use std::time::Instant;

use qemu_dsl::host::{ProbeOptions, probe};

fn main() {
    let cache = std::env::args_os().nth(1).expect("remembered CACHE");
    let options = ProbeOptions::new().force_emulation(true).cache(cache);
    let started = Instant::now();
    probe(&options).expect("a host that can be probed");
    println!("{}", started.elapsed().as_secs_f64() * 1e3);
}
