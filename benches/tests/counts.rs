//! Counts that do not depend on the machine: allocations, and instructions beside recorded ones. Times are for `scripts/bench`.

use std::process::Command;

use benches::alloc::Counting;
use benches::{config, facts, floor, ours};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test, for allocations are counted on all threads.
#[test]
fn allocations_of_the_sandbox_command() {
    let (config, facts) = (config(), facts());
    let by_hand = floor::floor(floor::VM_ID, floor::WORK_DIR, floor::KERNEL_DIR);
    let command = ours(&config, &facts);
    let text: Vec<u8> = command.args().flat_map(|arg| [arg.as_encoded_bytes(), b"\0"].concat()).collect();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        String::from_utf8(by_hand.bytes).unwrap(),
        "floor and library say the same"
    );

    let counts = benches::counted();
    println!("allocations: {counts:?}");
    assert!(counts.fresh <= 6, "{counts:?}");
    assert_eq!((counts.reusing, counts.planner_reusing, counts.planner, counts.floor), (0, 0, 2, 2), "{counts:?}");
    assert!(counts.peer > 20 * counts.fresh, "{counts:?}");
}

/// The instructions that valgrind counts in one of the measured functions, for one call.
fn instructions(what: &str) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect=*{what}*"))
        .arg(env!("CARGO_BIN_EXE_measured"))
        .arg(what)
        .output()
        .expect("valgrind runs; scripts/setup bench installs it");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).unwrap_or_else(|| panic!("{said}")).1;
    collected.trim().parse::<u64>().expect("a number") / benches::CALLS
}

/// Instructions rise by 5 % at most. `QEMU_DSL_RECORD=1` records new ones, after a look at why they are.
#[test]
fn instructions_of_the_sandbox_command() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.txt");
    let found = ["measured_floor", "measured_fresh", "measured_reusing", "measured_planner"]
        .map(|what| (what, instructions(what)));
    // Debug builds are another program: they are recorded by themselves.
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let recorded = std::fs::read_to_string(file).unwrap_or_default();
    let key = |what: &str| format!("{profile} {what} ");
    if std::env::var_os("QEMU_DSL_RECORD").is_some() {
        let others = recorded.lines().filter(|line| !line.starts_with(profile)).map(ToOwned::to_owned);
        let mut lines: Vec<String> =
            others.chain(found.iter().map(|(what, count)| format!("{}{count}", key(what)))).collect();
        lines.sort();
        std::fs::write(file, lines.join("\n") + "\n").unwrap();
        return;
    }
    for (what, count) in found {
        let before = recorded.lines().find_map(|line| line.strip_prefix(&key(what)));
        let before: u64 = before.unwrap_or_else(|| panic!("no record of {what}")).trim().parse().unwrap();
        println!("{what}: {count} instructions, {before} recorded");
        assert!(count <= before + before / 20, "{what}: {count} instructions, {before} recorded");
    }
}
