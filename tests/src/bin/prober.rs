//! A process that probes, without KVM, and prints what it finds: `prober none|read|write CACHE QEMU`.

use qemu_dsl::host::{ProbeOptions, probe};

fn main() {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let [_, how, cache, qemu] = &args[..] else { panic!("prober none|read|write CACHE QEMU") };
    let options = ProbeOptions::new().force_emulation(true).qemu(qemu);
    let options = match how.to_str() {
        Some("read") => options.read_only_cache(cache),
        Some("write") => options.cache(cache),
        _ => options,
    };
    println!("{:?}", probe(&options).expect("a host that can be probed"));
}
