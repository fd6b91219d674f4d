//! What the library says of machine types, against what QEMU says and does: each row of `machine::ALL`, in each version, by
//! asking for the numbers, and by starting as many as there can be and one more.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::accel::Architecture;
use qemu_dsl::cpu::BestCpu;
use qemu_dsl::facts::{HostAccel, Platform};
use qemu_dsl::launch::Launch;
use qemu_dsl::machine::{ALL, AnyMachine, AnyPciMachine, Limit, MachineFacts, MachineType};
use qemu_dsl::prelude::*;
use qemu_dsl::qmp::Qmp;
use qemu_dsl::sandbox::{SandboxConfig, plan};
use qemu_dsl::vm::{BuildError, Target};
use qemu_dsl::{HostFacts, QemuCommand, QemuVersion};
use serde_json::Value;
use tests::{Judged, Qemu, judge, judge_with, qemus};

/// More CPUs than this take minutes to start, and are only asked for.
const STARTED_CPUS: u32 = 512;

const LIMIT: Duration = Duration::from_secs(30);

fn rows() -> impl Iterator<Item = &'static MachineFacts> {
    ALL.iter().copied().flatten()
}

fn command(binary: &OsString, row: &MachineFacts, args: &[String], dir: &Path) -> QemuCommand {
    let mut command = QemuCommand::new(binary).unwrap();
    let cpu = match row.architecture {
        // Without x2APIC a CPU has one of 255 numbers.
        Architecture::X86_64 => "qemu64,x2apic=on",
        Architecture::Aarch64 => "cortex-a57",
        _ => "rv64",
    };
    let qmp = format!("unix:{},server=on,wait=off", dir.join("q").display());
    for arg in ["-machine", row.text, "-accel", "tcg", "-cpu", cpu, "-nodefaults", "-no-user-config"] {
        command.arg(arg).unwrap();
    }
    for arg in ["-display", "none", "-m", "128M", "-qmp", &qmp].into_iter().map(ToOwned::to_owned).chain(args.to_vec())
    {
        command.arg(arg).unwrap();
    }
    command
}

/// What is said and what happens with these arguments.
fn starts(binary: &OsString, row: &MachineFacts, args: &[String]) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    match judge(&command(binary, row, args, dir.path()), &dir.path().join("q")) {
        Judged::Accepted { .. } => Ok(()),
        Judged::Rejected { stderr } => Err(stderr),
    }
}

fn devices(name: &str, count: u32) -> Vec<String> {
    (0..count).flat_map(|_| ["-device".to_owned(), name.to_owned()]).collect()
}

fn cpus(count: u32) -> Vec<String> {
    vec!["-smp".to_owned(), count.to_string()]
}

/// Tries `limit` and one more. `refusal` is what QEMU says of too many.
fn try_limit(
    qemu: &Qemu,
    binary: &OsString,
    row: &MachineFacts,
    what: &str,
    limit: u32,
    refusals: &[&str],
    args: impl Fn(u32) -> Vec<String>,
) -> Vec<String> {
    let at = |count| format!("QEMU {} {} {} with {count} {what}", qemu.version, row.architecture, row.text);
    let mut wrong = Vec::new();
    let as_many = if what == "CPUs" { limit.min(STARTED_CPUS) } else { limit };
    if let Err(stderr) = starts(binary, row, &args(as_many)) {
        wrong.push(format!("{} does not start: {stderr}", at(as_many)));
    }
    match starts(binary, row, &args(limit + 1)) {
        Ok(()) => wrong.push(format!("{} starts", at(limit + 1))),
        Err(stderr) if refusals.iter().any(|refusal| stderr.contains(refusal)) => {}
        Err(stderr) => wrong.push(format!("{} fails for another reason: {stderr}", at(limit + 1))),
    }
    wrong
}

fn each_row(check: impl Fn(&Qemu, &OsString, &'static MachineFacts) -> Vec<String>) {
    let mut wrong = Vec::new();
    for qemu in qemus() {
        for row in rows() {
            wrong.extend(check(&qemu, &qemu.binary(row.architecture), row));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rows that differ in nothing that a limit depends on are tried once: the first.
fn is_first_with(
    row: &'static MachineFacts,
    key: impl Fn(&MachineFacts) -> (Architecture, &'static str, Limit),
) -> bool {
    rows().find(|other| key(other) == key(row)).is_some_and(|first| std::ptr::eq(first, row))
}

#[test]
fn as_many_cpus_as_there_can_be() {
    let refusals = [
        "Invalid SMP CPUs",
        "exceeds max CPUs supported",
        "apic initialization failed",
        "requires kernel irqchip",
        "Capacity of the redist regions",
        "redist region number",
        "max CPUs supported by machine",
        "highmem-redists",
    ];
    each_row(|qemu, binary, row| {
        let Some(limit) = row.max_cpus(Some(qemu.version), false) else {
            return vec![format!("{} has no limit", row.text)];
        };
        if !is_first_with(row, |row| (row.architecture, row.text, row.tcg_cpus)) {
            return Vec::new();
        }
        try_limit(qemu, binary, row, "CPUs", limit, &refusals, cpus)
    });
}

#[test]
fn as_many_virtio_mmio_devices_as_there_can_be() {
    each_row(|qemu, binary, row| {
        let Some(limit) = row.mmio_slots.at(Some(qemu.version)) else {
            let Err(stderr) = starts(binary, row, &devices("virtio-rng-device", 1)) else {
                return vec![format!("{} has virtio-mmio", row.text)];
            };
            assert!(stderr.contains("No 'virtio-bus' bus found"), "{stderr}");
            return Vec::new();
        };
        if !row.text.contains("gic-version") && is_first_with(row, |row| (row.architecture, row.text, row.mmio_slots)) {
            let refusal = ["No 'virtio-bus' bus found", "A 'virtio-bus' bus was found but is full"];
            return try_limit(qemu, binary, row, "virtio-mmio devices", limit, &refusal, |count| {
                devices("virtio-rng-device", count)
            });
        }
        Vec::new()
    });
}

#[test]
fn as_many_pci_devices_as_there_can_be() {
    each_row(|qemu, binary, row| match row.pci_slots.at(Some(qemu.version)) {
        Some(limit) if !row.text.contains("gic-version") => {
            let refusals = ["no slot/function available"];
            try_limit(qemu, binary, row, "PCI devices", limit, &refusals, |count| devices("virtio-rng-pci", count))
        }
        None if row.name == "microvm" => match starts(binary, row, &devices("virtio-rng-pci", 1)) {
            Err(stderr) if stderr.contains("No 'PCI' bus found") => Vec::new(),
            other => vec![format!("{} and a PCI device: {other:?}", row.text)],
        },
        _ => Vec::new(),
    });
}

/// The machine types that a binary has, by name and by alias.
fn machines(binary: &OsString) -> BTreeMap<String, Value> {
    let dir = tempfile::tempdir().unwrap();
    let mut none = QemuCommand::new(binary).unwrap();
    let qmp = format!("unix:{},server=on,wait=off", dir.path().join("q").display());
    for arg in ["-machine", "none", "-nodefaults", "-display", "none", "-qmp", &qmp] {
        none.arg(arg).unwrap();
    }
    let mut machines = BTreeMap::new();
    let ask = |qmp: &mut Qmp| {
        for machine in qmp.execute("query-machines", None, LIMIT).unwrap().as_array().unwrap() {
            for name in ["name", "alias"].into_iter().filter_map(|key| machine[key].as_str()) {
                machines.insert(name.to_owned(), machine.clone());
            }
        }
    };
    let judged = judge_with(&none, &dir.path().join("q"), ask);
    assert!(matches!(judged, Judged::Accepted { .. }), "{judged:?}");
    machines
}

#[test]
fn qemu_says_the_same_of_its_machine_types() {
    let mut asked: BTreeMap<OsString, BTreeMap<String, Value>> = BTreeMap::new();
    for qemu in qemus() {
        for row in rows() {
            let binary = qemu.binary(row.architecture);
            let machines = asked.entry(binary.clone()).or_insert_with(|| machines(&binary));
            let at = format!("QEMU {} {}", qemu.version, row.text);
            let machine = machines.get(row.name).unwrap_or_else(|| panic!("{at}: there is none"));
            assert_eq!(machine["hotpluggable-cpus"].as_bool(), Some(row.hotplugs_cpus), "{at}");
            let max = machine["cpu-max"].as_u64().unwrap();
            let said = row.cpus.at(Some(qemu.version)).map(u64::from);
            // Options can lower it, which the machine type does not tell.
            assert!(said == Some(max) || row.text.contains("gic-version") && said < Some(max), "{at}: {said:?}, {max}");
            if let Some(versions) = row.versions {
                let prefix = versions.prefix();
                let there: Vec<(u16, u16)> =
                    machines.keys().filter_map(|name| version_of(name.strip_prefix(prefix)?)).collect();
                assert!(there.len() > 10, "{at}: {there:?}");
                for version in (0..20).flat_map(|major| (0..20).map(move |minor| (major, minor))) {
                    let checked = versions.check(version, Some(qemu.version));
                    assert_eq!(checked.is_ok(), there.contains(&version), "{at}: {prefix}{version:?}: {checked:?}");
                }
                for (major, minor) in there {
                    let of_machine = row.cpus.at(Some(QemuVersion::new(major, minor, 0))).map(u64::from);
                    let max = machines[&format!("{prefix}{major}.{minor}")]["cpu-max"].as_u64();
                    assert!(
                        of_machine == max || row.text.contains("gic-version"),
                        "{at}: {major}.{minor}: {of_machine:?} {max:?}"
                    );
                }
            }
        }
    }
}

/// The builder counts by the same numbers: as many are built, and one more is not.
#[test]
fn the_builder_refuses_one_more() {
    let versions = [None, Some((5, 2)), Some((7, 2)), Some((10, 0)), Some((11, 1))];
    for version in versions.map(|version| version.map(|(major, minor)| QemuVersion::new(major, minor, 0))) {
        let machines: [(AnyPciMachine, &str); 5] = [
            (Pc::new().into(), "pc"),
            (Q35::new().into(), "q35"),
            (Microvm::with_pcie().into(), "microvm,acpi=on,pcie=on"),
            (VirtPcie::new().into(), "virt"),
            (RiscvVirtPcie::new().into(), "virt"),
        ];
        for (machine, text) in machines {
            let row = machine.facts();
            assert_eq!(row.text, text);
            let slots = row.pci_slots.at(version).unwrap();
            let cpus = row.max_cpus(version, false).unwrap();
            let built = |devices, cpus| {
                let mut target = Target::default();
                if let Some(version) = version {
                    target = target.version(version);
                }
                let mut vm = Vm::for_target(&target, machine, Tcg::new(), BestCpu::new(), mib!(64));
                vm.without_kernel().smp(Smp::new(cpus).unwrap());
                for _ in 0..devices {
                    let random = vm.rng_backend(RngRandom::urandom());
                    vm.add(VirtioRng::new(random));
                }
                vm.build().map(drop).map_err(|errors| errors.errors().to_vec())
            };
            let at = format!("{version:?} {text}");
            assert_eq!(built(slots, cpus), Ok(()), "{at}");
            let refused = built(slots + 1, 1).unwrap_err();
            assert!(
                matches!(refused[..], [BuildError::PciSlots { slots: limit, .. }] if limit == slots),
                "{at}: {refused:?}"
            );
            let refused = built(0, cpus + 1).unwrap_err();
            assert!(matches!(refused[..], [BuildError::TooManyCpus { max, .. }] if max == cpus), "{at}: {refused:?}");
        }
    }
    // An older machine in a newer QEMU has its own limits.
    let target = Target::default().version(QemuVersion::new(10, 0, 0));
    let mut vm = Vm::for_target(&target, Q35::new().versioned(7, 2), Tcg::new(), Haswell::new(), mib!(64));
    vm.smp(Smp::new(289).unwrap());
    assert!(vm.build().is_err());
    // 24 on a microvm with PCI too: which transports there are, ACPI decides.
    let mut vm = Vm::for_target(&target, Microvm::with_pcie(), Tcg::new(), Haswell::new(), mib!(64));
    for _ in 0..24 {
        let random = vm.rng_backend(RngRandom::urandom());
        vm.add(OnMmio(VirtioRng::new(random)));
    }
    vm.without_kernel();
    vm.build().unwrap();
}

/// RISC-V's firmware speaks on the console that the builder connects, and QEMU takes the rest.
#[test]
fn riscv_machines_start_and_speak() {
    for qemu in qemus() {
        for machine in [AnyMachine::from(RiscvVirt::new()), RiscvVirtPcie::new().into()] {
            let dir = tempfile::tempdir().unwrap();
            let binary = qemu.binary(machine.architecture());
            let target = Target::default().binary(&binary).version(qemu.version);
            let mut vm = Vm::for_target(&target, machine, Tcg::new(), BestCpu::new(), mib!(128));
            // Not a kernel: the firmware has spoken before it jumps there.
            let kernel = dir.path().join("Image");
            std::fs::write(&kernel, [0; 4096]).unwrap();
            vm.kernel(Kernel::new(&kernel)).smp(Smp::new(2).unwrap());
            let qmp = dir.path().join("q");
            vm.qmp(SocketPath::new(&qmp).unwrap());
            vm.add(VirtioBalloon::new());
            let stdio = vm.chardev(Stdio::new());
            let command = vm.uart_console(stdio).build().unwrap();
            let machine = Launch::new(&command).start().unwrap();
            let deadline = Instant::now() + LIMIT;
            while !machine.console().windows(7).any(|part| part == b"OpenSBI") {
                let ended = machine.wait(Instant::now() + Duration::from_millis(20));
                assert!(Instant::now() < deadline && ended.is_none(), "{command}");
            }
        }
        let target = Target::default().version(qemu.version);
        let mut max = Vm::for_target(&target, RiscvVirt::new(), Tcg::new(), Max::new(), mib!(64));
        max.without_kernel();
        let row = rows().find(|row| row.of == "RiscvVirt").unwrap();
        let binary = qemu.binary(Architecture::Riscv64);
        let starts = starts(&binary, row, &["-cpu".to_owned(), "max".to_owned()]);
        assert_eq!(max.build().is_ok(), starts.is_ok(), "QEMU {}: {starts:?}", qemu.version);
    }
}

#[allow(dead_code)] // its `main`
#[path = "../../examples/src/bin/own_architecture.rs"]
mod own_architecture;

/// What the example says of an architecture that the library does not know is what its emulator does. Only the one from `PATH`
/// is there.
#[test]
fn an_architecture_of_ones_own_starts() {
    let qemu = &qemus()[0];
    let dir = tempfile::tempdir().unwrap();
    let kernel = dir.path().join("Image");
    std::fs::write(&kernel, [0; 4096]).unwrap();
    let qmp = dir.path().join("q");
    let target = Target::default().version(qemu.version);
    let define =
        |devices| own_architecture::define(&target, SocketPath::new(&qmp).unwrap(), kernel.to_str().unwrap(), devices);
    let mut command = define(8).unwrap();
    assert!(command.to_string().starts_with("qemu-system-riscv32 -accel tcg -cpu rv32 -machine virt "), "{command}");
    // Debian has no firmware for it.
    command.arg("-bios").unwrap().arg("none").unwrap();
    let judged = judge(&command, &qmp);
    assert!(matches!(judged, Judged::Accepted { .. }), "{judged:?}");
    assert!(define(9).is_err());
}

/// Facts of a RISC-V host are read; there is no plan for it, and the error says so.
#[test]
fn a_riscv_host_has_facts_and_no_sandbox() {
    let facts = r#"{"arch":"riscv64","os":"linux","accel":"kvm","tsc_deadline":false,"io_uring":true,"unshare":true,
        "qemu_version":[10,0,0],"seccomp":true}"#;
    let facts: HostFacts = serde_json::from_str(facts).unwrap();
    assert!(matches!(facts.platform(), Platform::Riscv64(HostAccel::Kvm(_))));
    let config = SandboxConfig::new("job", "/tmp/job", "/boot").unwrap();
    let error = plan(&config, &facts).unwrap_err().to_string();
    assert!(
        error.starts_with("the facts say `arch` is `riscv64`, and there are plans for x86_64 and aarch64"),
        "{error}"
    );
    // On such a host its own machine types have KVM, and others do not.
    let kvm = facts.accelerator();
    let on = |machine: AnyMachine| {
        let mut vm = Vm::new(machine, kvm, BestCpu::new(), mib!(64));
        vm.without_kernel();
        vm.build().map(|command| command.to_string())
    };
    assert!(
        on(RiscvVirt::new().into()).unwrap().starts_with("qemu-system-riscv64 -accel kvm -cpu host -machine virt ")
    );
    let foreign = on(Q35::new().into()).unwrap_err().to_string();
    assert!(foreign.contains("runs only riscv64 guests"), "{foreign}");
    let other: Result<HostFacts, _> = serde_json::from_value(serde_json::json!({ "arch": "s390x", "os": "linux" }));
    let error = other.unwrap_err().to_string();
    assert!(error.contains("unknown variant `s390x`"), "{error}");
}

fn version_of(text: &str) -> Option<(u16, u16)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
