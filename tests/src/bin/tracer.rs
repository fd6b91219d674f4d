//! A process that traces another one and does nothing with it: `tracer PID`, until its standard input ends.

use std::io::Read as _;

use nix::sys::ptrace;
use nix::unistd::Pid;

fn main() {
    let pid = std::env::args().nth(1).and_then(|pid| pid.parse().ok()).expect("tracer PID");
    ptrace::seize(Pid::from_raw(pid), ptrace::Options::empty()).expect("it can be traced");
    println!("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
