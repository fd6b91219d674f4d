//! What the library costs those who compile it: its own build, programs that use it, and what it adds to a binary.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::measure::ms;

/// A package that is made for measuring, in a workspace of its own.
pub struct Package {
    dir: PathBuf,
    target: PathBuf,
}

fn cargo(dir: &Path, target: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(dir).env("CARGO_TARGET_DIR", target).args(["--offline", "--quiet"]);
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Milliseconds that processors have spent on children that have ended.
fn cpu_of_children() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts");
    let time = usage.user_time() + usage.system_time();
    ms(std::time::Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or_default()))
}

impl Package {
    /// Makes a package with this dependency line and this `main.rs`.
    ///
    /// # Panics
    ///
    /// When the directory cannot be written.
    pub fn new(root: &Path, name: &str, dependency: &str, main: &str) -> Self {
        let dir = root.join(name);
        std::fs::create_dir_all(dir.join("src")).expect("a directory");
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{dependency}\n[profile.release]\nstrip = true\ncodegen-units = 1\n"
        );
        std::fs::write(dir.join("Cargo.toml"), manifest).expect("a manifest");
        // The same versions as here: nothing is downloaded.
        std::fs::copy(tests::root().join("Cargo.lock"), dir.join("Cargo.lock")).expect("a lock file");
        let package = Self { target: root.join("target"), dir };
        package.write(main);
        package
    }

    fn write(&self, main: &str) {
        std::fs::write(self.dir.join("src/main.rs"), main).expect("a source file");
    }

    /// Milliseconds of `cargo check` after a change of `main.rs`, with all dependencies checked.
    ///
    /// # Panics
    ///
    /// When it does not compile.
    pub fn check(&self) -> f64 {
        let main = self.dir.join("src/main.rs");
        let text = std::fs::read_to_string(&main).expect("a source file");
        self.write(&(text + " "));
        let started = Instant::now();
        run(cargo(&self.dir, &self.target).arg("check"));
        ms(started.elapsed())
    }

    /// Milliseconds that processors spend on `cargo check` after a change of `main.rs`, with all dependencies checked.
    ///
    /// # Panics
    ///
    /// When it does not compile.
    pub fn check_cpu(&self) -> f64 {
        let before = cpu_of_children();
        self.check();
        cpu_of_children() - before
    }

    /// Milliseconds of `cargo build` from nothing.
    ///
    /// # Panics
    ///
    /// When it does not compile.
    pub fn cold_build(&self) -> f64 {
        let target = self.dir.join("cold");
        let _ = std::fs::remove_dir_all(&target);
        let started = Instant::now();
        run(cargo(&self.dir, &target).arg("build"));
        let elapsed = ms(started.elapsed());
        let _ = std::fs::remove_dir_all(&target);
        elapsed
    }

    /// The size of the release binary, stripped, in KiB.
    ///
    /// # Panics
    ///
    /// When it does not compile.
    pub fn size(&self) -> u64 {
        run(cargo(&self.dir, &self.target).args(["build", "--release"]));
        let name = self.dir.file_name().expect("a name");
        std::fs::metadata(self.target.join("release").join(name)).expect("a binary").len() / 1024
    }

    /// The library's own functions in the release binary, in KiB: those whose names are in its modules, and those of the
    /// standard library that are compiled for its types.
    ///
    /// # Panics
    ///
    /// When `nm` (binutils, which Rust links with) does not run.
    pub fn own_code(&self) -> (u64, u64) {
        let target = self.dir.join("symbols");
        run(cargo(&self.dir, &target).args(["build", "--release", "--config", "profile.release.strip=false"]));
        let name = self.dir.file_name().expect("a name");
        let symbols =
            run(Command::new("nm").args(["--print-size", "--demangle"]).arg(target.join("release").join(name)));
        let size = |line: &str| line.split(' ').nth(1).and_then(|size| u64::from_str_radix(size, 16).ok()).unwrap_or(0);
        let sum = |is_it: &dyn Fn(&str) -> bool| {
            let lines = symbols.lines().filter(|line| line.split(' ').nth(2).is_some_and(|kind| "tT".contains(kind)));
            lines.filter(|line| line.splitn(4, ' ').nth(3).is_some_and(is_it)).map(size).sum::<u64>() / 1024
        };
        let own = |name: &str| name.starts_with("qemu_dsl::") || name.starts_with("<qemu_dsl::");
        (sum(&own), sum(&|name| !own(name) && name.contains("qemu_dsl::")))
    }

    /// How many packages it is built of, itself and what only runs at compile time included.
    ///
    /// # Panics
    ///
    /// When cargo does not tell.
    pub fn packages(&self) -> usize {
        let tree = run(cargo(&self.dir, &self.target).args(["tree", "--edges", "normal,build", "--prefix", "none"]));
        let names: std::collections::BTreeSet<&str> =
            tree.lines().filter_map(|line| line.split(" (").next()).filter(|line| !line.is_empty()).collect();
        names.len()
    }
}

/// The dependency on the library.
pub fn library(features: &str) -> String {
    format!("qemu-dsl = {{ path = '{}'{features} }}", tests::root().join("qemu-dsl").display())
}

/// A program that defines a VM with so many devices, of several kinds, one statement each.
pub fn devices(count: usize) -> String {
    let mut main = String::from(
        "use qemu_dsl::prelude::*;\nfn main() {\n    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(256));\n",
    );
    for number in 0..count {
        let _ = match number % 4 {
            0 => writeln!(
                main,
                "    let disk{number} = vm.drive(Drive::new(\"{number}.qcow2\", Format::Qcow2).discard(Discard::Unmap));\n    \
                 vm.add(VirtioBlk::new(disk{number}).queue_size(128));"
            ),
            1 => writeln!(
                main,
                "    let net{number} = vm.netdev(UserNetdev::new().restrict(true));\n    vm.add(VirtioNet::new(net{number}).mq(false));"
            ),
            2 => writeln!(
                main,
                "    let rng{number} = vm.rng_backend(RngRandom::urandom());\n    vm.add(VirtioRng::new(rng{number}));"
            ),
            _ => writeln!(main, "    vm.add(PcieRootPort::new({}).slot({number}));", number % 256),
        };
    }
    main + "    println!(\"{}\", vm.build().unwrap());\n}\n"
}

/// Who derives what for the ten fields of a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derives {
    /// Nobody.
    Nothing,
    /// Schema and writer.
    Options,
    /// These, and a constructor with nine setters.
    Setters,
    /// serde's `Serialize` and `Deserialize`.
    Serde,
}

/// A program with so many structs of ten fields.
pub fn structs(count: usize, derives: Derives) -> String {
    const FIELDS: [(&str, &str); 10] = [
        ("first", "u32"),
        ("second", "Option<bool>"),
        ("third", "Option<String>"),
        ("fourth", "Option<u64>"),
        ("fifth", "Option<u32>"),
        ("sixth", "Option<bool>"),
        ("seventh", "Option<String>"),
        ("eighth", "Option<u16>"),
        ("ninth", "Option<i64>"),
        ("tenth", "Option<u8>"),
    ];
    let mut main = String::from("#![allow(dead_code)]\n");
    main += match derives {
        Derives::Nothing => "",
        Derives::Options | Derives::Setters => "use qemu_dsl::bus::Pci;\nuse qemu_dsl::prelude::*;\n",
        Derives::Serde => "use serde::{Deserialize, Serialize};\n",
    };
    for number in 0..count {
        let _ = match derives {
            Derives::Nothing => Ok(()),
            Derives::Options => writeln!(main, "#[derive(QemuOpts)]\n#[qemu(device = \"device-{number}\", bus = Pci)]"),
            Derives::Setters => {
                writeln!(main, "#[derive(QemuOpts)]\n#[qemu(device = \"device-{number}\", bus = Pci, build)]")
            }
            Derives::Serde => {
                writeln!(main, "#[derive(Serialize, Deserialize)]\n#[serde(rename_all = \"kebab-case\")]")
            }
        };
        let _ = writeln!(main, "struct Device{number} {{");
        for (name, ty) in FIELDS {
            let _ = writeln!(main, "    /// The {name} of the options of this device.\n    {name}: {ty},");
        }
        main += "}\n";
    }
    main + "fn main() {}\n"
}

/// A program that probes, plans, launches, talks and ends, as the sandbox program does.
pub const SANDBOX: &str = r#"
use std::time::{Duration, Instant};
use qemu_dsl::host::{ProbeOptions, probe};
use qemu_dsl::launch::Launch;
use qemu_dsl::sandbox::{Plan, SandboxConfig, plan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let probed = probe(&ProbeOptions::new())?;
    let config = SandboxConfig::new("job-1", "/run/vm-job-1", "/boot")?.memory(512)?;
    for (option, reason) in Plan::explain(&config, &probed.facts)?.options() {
        println!("{:?} {}", option.collect::<Vec<_>>(), reason.why());
    }
    let plan = plan(&config, &probed.facts)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let machine = Launch::new(plan.command()).start()?;
    let mut agent = machine.agent(&config.paths().cmd, deadline)?;
    println!("{}", agent.ask("ping", deadline)?);
    let qmp = machine.qmp(&config.paths().qmp, deadline)?;
    println!("{}", machine.end(Some(qmp))?.how);
    Ok(())
}
"#;

/// A program that does what it can of this with the standard library alone: a process, its output in threads, a socket.
pub const BY_HAND: &str = r#"
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let mut child = Command::new(&args[1]).args(&args[2..]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let (sender, receiver) = mpsc::channel();
    let mut out = child.stdout.take().ok_or("no pipe")?;
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = out.read_to_end(&mut text);
        let _ = sender.send(text);
    });
    let mut agent = UnixStream::connect("/run/vm-job-1/cmd.sock")?;
    writeln!(agent, "ping")?;
    let mut answer = String::new();
    BufReader::new(agent).read_line(&mut answer)?;
    println!("{answer} {:?}", child.wait()?);
    println!("{}", receiver.recv()?.len());
    Ok(())
}
"#;
