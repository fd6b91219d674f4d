//! `docs/performance.md`: ratios and counts, each beside a floor or a peer of the same run.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

use crate::compile::Derives;
use crate::measure::{Series, number, rounds, shown};
use crate::network::{CONNECTIONS, MEASURED};
use crate::{boot, compile, probe, scale, spawn};

/// The page.
///
/// # Panics
///
/// When something cannot be measured.
pub fn markdown() -> String {
    let mut page = introduction();
    for section in [building, probing, starting, booting, network, compiling, at_scale] {
        section(&mut page);
    }
    page
}

/// What is measured, and how.
type Measured<'a> = (&'static str, Box<dyn Fn() -> f64 + 'a>);

/// Says on standard error what is going on.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned()
}

fn introduction() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    format!(
        "# Performance\n\nMade by `scripts/bench` on {}: {count} × {}, Linux {}, {}, {}.\n\nThe machine is shared with others, and now fast and \
         now slow: so each number stands beside a floor or a peer of the same run, ratios are medians of ratios within a round, and no test \
         asserts a time. What does not depend on the machine, allocations and instructions, is compared with recorded counts in every \
         test run (`cargo test -p benches`).\n",
        said("date", &["-u", "+%F"]),
        model.trim_start_matches([' ', '\t', ':']),
        said("uname", &["-r"]),
        said("rustc", &["--version"]),
        said("qemu-system-x86_64", &["--version"]),
    )
}

/// A table of series, each with its ratio to the first.
fn table(page: &mut String, unit: &str, names: &[&str], series: &[Series]) {
    let _ = writeln!(page, "\n| | median, {unit} | from, to | ratio to the first |\n|---|---|---|---|");
    for (name, one) in names.iter().zip(series) {
        let range = one.range().map_or(String::new(), |(low, high)| format!("{}, {}", number(low), number(high)));
        let _ = writeln!(page, "| {name} | {} | {range} | {} |", shown(one.median()), shown(one.ratio(&series[0])));
    }
}

/// The sandbox's command: criterion's estimates, and the counts.
fn building(page: &mut String) {
    progress("building a command");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(tests::root())
        .args(["bench", "--quiet", "--package", "benches", "--bench", "build", "--", "--noplot", "--quiet"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the benches run");
    let target = crate::sibling("..");
    let median = |name: &str| -> f64 {
        let path = target.join("criterion/build").join(name).join("new/estimates.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let estimates: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        estimates["median"]["point_estimate"].as_f64().expect("nanoseconds")
    };
    let counts = crate::counted();
    let (floor, peer) = (median("floor"), median("peer"));
    page.push_str(
        "\n## Building the sandbox's command\n\n61 arguments, from configuration and facts. The floor is written by hand for this one \
         configuration, into one buffer and without a check; the peer is the crate qemu-command-builder 11.1, given a value that is \
         ready to be written.\n\n| | median, µs | times the floor | the peer takes so many times longer | allocations |\n|---|---|---|---|---|\n",
    );
    for (name, of, allocations) in [
        ("floor", "floor", counts.floor),
        ("`sandbox::plan`", "fresh", counts.fresh),
        ("`sandbox::plan_reusing`", "reusing", counts.reusing),
        ("`Planner::plan`", "planner", counts.planner),
        ("`Planner::plan_reusing`", "planner_reusing", counts.planner_reusing),
        ("`Plan::explain`", "explained", counts.explained),
        ("qemu-command-builder", "peer", counts.peer),
    ] {
        let time = median(of);
        let _ = writeln!(
            page,
            "| {name} | {} | {} | {} | {allocations} |",
            number(time / 1000.0),
            number(time / floor),
            number(peer / time)
        );
    }
}

fn probing(page: &mut String) {
    progress("probing");
    let cache = tempfile::tempdir().expect("a directory");
    let cache = cache.path().join("cache");
    probe::in_a_file(&cache);
    let probes: [Measured<'_>; 5] = [
        ("floor: one question in a bare QMP session", Box::new(probe::floor)),
        ("all probes but KVM's proof, cold", Box::new(|| probe::cold(false))),
        ("all probes, cold", Box::new(|| probe::cold(true))),
        ("remembered in a file, by another process", Box::new(|| probe::in_a_file(&cache))),
        ("remembered in the process", Box::new(probe::in_process)),
    ];
    let series = rounds(15, &probes, |(_, probe)| Some(probe()));
    page.push_str(
        "\n## Probing the host\n\nThe probes run side by side. What is remembered counts only while the binary (path, inode, size, time of \
         change), `/dev/kvm`, the user, the boot and the version of the memory are the same, which is looked up each time.\n",
    );
    table(page, "ms", &probes.each_ref().map(|(name, _)| *name), &series);
}

/// The section on starting a program.
///
/// # Panics
///
/// When it does not start.
pub fn starting(page: &mut String) {
    progress("starting a program");
    let clock = crate::sibling("clock");
    let jail = spawn::Jail::of(&clock);
    let starts: [Measured<'_>; 3] = [
        ("floor: `std::process::Command`", Box::new(|| spawn::floor(&clock))),
        ("`Launch::start`", Box::new(|| spawn::ours(&clock))),
        ("`Launch::start`, in the sandbox's jail", Box::new(|| jail.start())),
    ];
    let series = rounds(101, &starts, |(_, start)| Some(start()));
    page.push_str("\n## From the call to the program's first line\n\nA program that does nothing but tell the time.\n");
    table(page, "ms", &starts.each_ref().map(|(name, _)| *name), &series);
    let added = |index: usize| {
        let pairs = series[index].0.iter().zip(&series[index - 1].0);
        Series(pairs.map(|(with, without)| Some((*with)? - (*without)?)).collect()).median()
    };
    let whose = if nix::unistd::geteuid().is_root() { "root's" } else { "an ordinary user's" };
    let _ = writeln!(
        page,
        "\nThe library adds {} ms, and {whose} jail {} ms more (medians).",
        shown(added(1)),
        shown(added(2))
    );
}

fn booting(page: &mut String) {
    page.push_str(
        "\n## From the start of QEMU to the agent's answer, under TCG\n\nThe same guest kernel, initramfs, disk and channels in each table: \
         on x86_64 the minimal kernel of `scripts/setup kernel`, on aarch64 Debian's cloud kernel. virtme-ng's command is the one that it \
         prints, with the sandbox's disk and channels instead of its own file system.\n",
    );
    for (title, candidates) in [("x86_64", boot::on_x86_64()), ("aarch64", boot::on_aarch64())] {
        progress(&format!("booting {title}"));
        let _ = writeln!(page, "\n### {title}");
        boots(page, 11, &candidates);
    }
    let [x86_64, aarch64] = boot::variations();
    page.push_str(
        "\n### What matters\n\nOne thing changed at a time; three rounds, so that differences below a third say nothing. `never`: not within 20 s.\n",
    );
    for (title, candidates) in [("x86_64", x86_64), ("aarch64", aarch64)] {
        progress(&format!("booting {title} with one thing changed"));
        boots(page, 3, &candidates);
    }
    page.push_str(CONCLUSIONS);
}

fn boots(page: &mut String, count: usize, candidates: &[boot::Candidate]) {
    let series = rounds(count, candidates, boot::Candidate::boot);
    table(page, "ms", &candidates.iter().map(|candidate| candidate.name).collect::<Vec<_>>(), &series);
}

const CONCLUSIONS: &str = "
Under TCG the kernel's own decompression is the largest part that can be avoided, then the firmware of a PC: the fast profile avoids
both. Where the guest kernel cannot use a microvm without ACPI, it takes `q35`, which boots faster than `pc`. The other options make no
difference that this machine could show, so the fast profile has the standard one's.
";

/// The section on the frame filter.
///
/// # Panics
///
/// When frames get lost.
pub fn network(page: &mut String) {
    progress("passing frames");
    page.push_str(
        "\n## Network filter\n\nFrames between a thread in QEMU's place and one in gvproxy's, each frame written by itself, as both do. \
         Throughput is that of 1514-byte frames; ratios above 1 are better there, and worse for the round trip. The filter is a thread \
         more, and there are two processors.\n",
    );
    for (measured, series) in MEASURED.iter().zip(crate::network::measure(9)) {
        let _ = writeln!(page, "\n### {measured}");
        table(page, measured.rsplit(", ").next().unwrap_or_default(), &CONNECTIONS, &series);
    }
}

fn compiling(page: &mut String) {
    progress("compiling");
    let root = crate::sibling("..").join("bench-compile");
    let package = |name: &str, dependency: &str, main: &str| compile::Package::new(&root, name, dependency, main);
    let (full, core) = (compile::library(""), compile::library(", default-features = false"));
    let empty = package("empty", &full, "fn main() {}\n");

    let cold = [package("hello", "", "fn main() {}\n"), package("core-only", &core, "fn main() {}\n"), empty];
    let series = rounds(1, &cold, |package| Some(package.cold_build()));
    let [_, _, empty] = &cold;
    let _ = writeln!(
        page,
        "\n## Compiling\n\n`cargo build` from nothing, of an empty program that depends on the library: {} packages with the \
         feature `host`, {} without.",
        empty.packages(),
        cold[1].packages()
    );
    table(page, "ms", &["no dependency", "`default-features = false`", "default features"], &series);

    page.push_str("\n`cargo check` after a change, with everything else checked already.\n");
    let names = ["empty", "1 device", "50 devices", "500 devices"];
    let mains = ["fn main() {}\n".to_owned(), compile::devices(1), compile::devices(50), compile::devices(500)];
    let packages: Vec<_> = ["check-0", "check-1", "check-50", "check-500"]
        .iter()
        .zip(&mains)
        .map(|(name, main)| package(name, &full, main))
        .collect();
    for package in &packages {
        package.check();
    }
    let series = rounds(9, &packages, |package| Some(package.check()));
    table(page, "ms", &names, &series);
    let over = |index: usize| {
        let difference = series[index].0.iter().zip(&series[0].0).map(|(a, b)| Some((*a)? - (*b)?));
        Series(difference.collect()).median().unwrap_or(f64::NAN)
    };
    let _ = writeln!(
        page,
        "\n50 devices cost {} ms more than an empty program, 500 devices {} ms: {} times as much.",
        number(over(2)),
        number(over(3)),
        number(over(3) / over(2)),
    );
    deriving(page, &root);

    let sandbox = package("size-sandbox", &full, compile::SANDBOX);
    let sizes = [
        ("an empty program", package("size-empty", "", "fn main() {}\n").size()),
        ("a process, threads and a socket, with `std` alone", package("size-by-hand", "", compile::BY_HAND).size()),
        ("a command built", package("size-command", &core, &compile::devices(1)).size()),
        ("probe, plan, explain, launch, QMP, agent", sandbox.size()),
    ];
    page.push_str("\nThe size of a release binary, stripped, with one codegen unit, as the sandbox program is built.\n\n| | KiB | more than by hand |\n|---|---|---|\n");
    for (name, size) in &sizes {
        let _ = writeln!(page, "| {name} | {size} | {} |", i128::from(*size) - i128::from(sizes[1].1));
    }
    let (own, instances) = sandbox.own_code();
    let _ = writeln!(
        page,
        "\nIn the last one, the library's own functions have {own} KiB, and functions of the standard library for its types \
         {instances} KiB; the rest is the standard library, serde_json, nix and unwinding tables."
    );
    let _ = std::fs::remove_dir_all(root);
}

/// What a derive costs beside serde's.
fn deriving(page: &mut String, root: &std::path::Path) {
    const STRUCTS: u32 = 300;
    page.push_str(
        "\nProcessor time of `cargo check` after a change, of 300 structs with ten fields, nine of them `Option`s. serde's are \
         `Serialize` and `Deserialize`.\n",
    );
    let names = ["plain", "schema and writer", "and `new` with nine setters", "serde"];
    let serde = "serde = { version = '1', features = ['derive'] }";
    let library = compile::library(", default-features = false");
    let packages: Vec<_> = [
        ("derive-plain", Derives::Nothing, library.as_str()),
        ("derive-options", Derives::Options, &library),
        ("derive-setters", Derives::Setters, &library),
        ("derive-serde", Derives::Serde, serde),
    ]
    .into_iter()
    .map(|(name, derives, dependency)| {
        compile::Package::new(root, name, dependency, &compile::structs(STRUCTS as usize, derives))
    })
    .collect();
    for package in &packages {
        package.check();
    }
    let series = rounds(5, &packages, |package| Some(package.check_cpu()));
    table(page, "ms", &names, &series);
    let over = |index: usize| {
        let difference = series[index].0.iter().zip(&series[0].0).map(|(a, b)| Some((*a)? - (*b)?));
        Series(difference.collect()).median().unwrap_or(f64::NAN)
    };
    let _ = writeln!(
        page,
        "\nA struct costs {} ms, {} with its setters, {} with serde: {} and {} times as much as serde.",
        number(over(1) / f64::from(STRUCTS)),
        number(over(2) / f64::from(STRUCTS)),
        number(over(3) / f64::from(STRUCTS)),
        number(over(1) / over(3)),
        number(over(2) / over(3)),
    );
}

fn at_scale(page: &mut String) {
    progress("many at once");
    let plans = scale::plans(1000);
    let started = Instant::now();
    let scale::Machines { launched, answered, ended, threads, descriptors, memory, left } = scale::machines(200);
    let _ = writeln!(
        page,
        "\n## Many at once\n\n1,000 plans built and explained in one thread take {} ms; the process grows by {} KiB between the hundredth and \
         the last.\n\n200 machines in one process, with a stand-in for QEMU in each: all launched after {} ms, all have answered over QMP after {} \
         ms, all ended after {} ms. Each takes {} threads, {} file descriptors and {} KiB of the launching process. Processes left: {left}.",
        number(plans.ms),
        plans.grown,
        number(launched),
        number(answered),
        number(ended),
        number(threads),
        number(descriptors),
        number(memory),
    );
    progress(&format!("done, {} s for the machines", started.elapsed().as_secs()));
}
