//! Guests boot under TCG on every machine type: console, agent, disk, power-off.

use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::kernel::{MmioDiscovery, has_pvh};
use qemu_dsl::launch::{Agent, End, Launch, Machine};
use qemu_dsl::machine::{MachineType, RunsUnder};
use qemu_dsl::prelude::*;
use qemu_dsl::sandbox::{MachineKind, Profile, SandboxConfig, plan};
use qemu_dsl::vm::{Console, Target};
use tests::plans::bare;
use tests::{Qemu, guest_dir, minimal_guest_dir, qemus};

/// Starts the command, talks to the guest's agent, and has the guest end itself.
fn talk(command: &QemuCommand, cmd: &Path, event: &Path) {
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut machine = Launch::new(command).start().unwrap();
    let mut events = Agent::new(machine.connect(event, deadline).unwrap()).unwrap();
    let mut commands = Agent::new(machine.connect(cmd, deadline).unwrap()).unwrap();
    let said = |machine: &Machine| String::from_utf8_lossy(&machine.console()).into_owned();
    let disk = events.next_line(deadline).unwrap_or_else(|error| panic!("{error}\n{command}\n{}", said(&machine)));
    assert_eq!(disk, "disk /dev/vda ext4", "{command}");
    events.wait_for("ready", deadline).unwrap();
    let answer = commands.ask("ping", deadline).unwrap();
    let uptime: f64 = answer.strip_prefix("pong ").expect("a pong").parse().expect("an uptime");
    assert!(uptime > 0.0);
    assert_eq!(commands.ask("what?", deadline).unwrap(), "error unknown command");
    assert_eq!(commands.ask("poweroff", deadline).unwrap(), "bye");
    machine.powering_off();
    let off = machine.wait(Instant::now() + Duration::from_secs(30));
    let console = said(&machine);
    assert!(off.is_some(), "the guest does not power off\n{command}\n{console}");
    let ended = machine.end(None).unwrap();
    assert_eq!((ended.how, ended.status.code(), ended.processes_left), (End::Itself, Some(0), 0), "{}", ended.stderr);
    // What the kernel said before it had found virtio is not on a virtconsole.
    let first = if console.contains("/dev/hvc0") { "init: " } else { "Linux version" };
    assert!(console.contains(first) && console.contains("init: ready"), "not all of the boot:\n{console}");
}

/// Boots the sandbox of a host that has nothing but TCG.
fn sandbox(qemu: &Qemu, arch: Architecture, guest: &Path, profile: Profile, expected: MachineKind) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(guest.join(format!("rootfs-{arch}.qcow2")), dir.path().join("overlay.qcow2")).unwrap();
    let kernel = std::fs::read_to_string(guest.join(format!("config-{arch}"))).unwrap();
    let vmlinux = guest.join("vmlinux-x86_64").is_file();
    let config = SandboxConfig::new("boot", dir.path(), guest).unwrap().qemu(qemu.binary(arch)).unwrap();
    let config = config.profile(profile).kernel_mmio(MmioDiscovery::from_config(&kernel));
    let config = config.pvh_kernel(vmlinux && has_pvh(&kernel));
    let facts = bare(arch, Os::Linux, Acceleration::Tcg).with_qemu_version(Some(qemu.version));
    let plan = plan(&config, &facts).unwrap();
    assert_eq!(plan.machine(), expected);
    let fast = profile == Profile::Fast && vmlinux;
    assert_eq!(plan.command().args().any(|arg| arg == guest.join("vmlinux-x86_64")), fast);
    talk(plan.command(), &config.paths().cmd, &config.paths().event);
}

/// Boots the test guest on a machine of the builder's, with a console of the caller's choice.
fn built<M, C>(
    qemu: &Qemu,
    guest: &Path,
    machine: M,
    cpu: impl qemu_dsl::cpu::CpuFor<M, Tcg>,
    console: impl FnOnce(Vm<M, Tcg>, qemu_dsl::device::ConsolePort) -> Vm<M, Tcg, C>,
) where
    M: MachineType + RunsUnder<Tcg> + qemu_dsl::bus::HasBus<qemu_dsl::bus::Virtio>,
    C: Console,
{
    let arch = machine.architecture();
    let dir = tempfile::tempdir().unwrap();
    let [disk, cmd, event] = ["disk.qcow2", "cmd", "event"].map(|name| dir.path().join(name));
    std::fs::copy(guest.join(format!("rootfs-{arch}.qcow2")), &disk).unwrap();
    let (kernel, initrd) = (guest.join(format!("vmlinuz-{arch}")), guest.join(format!("initramfs-{arch}")));
    let binary = qemu.binary(arch);
    let target = Target::default().binary(&binary).version(qemu.version);
    let mut vm = Vm::for_target(&target, machine, Tcg::new(), cpu, mib!(256));
    vm.no_reboot();
    vm.kernel(
        Kernel::new(&kernel).initrd(&initrd).cmdline("root=/dev/vda rootfstype=ext4 rootflags=rw panic=-1 reboot=t"),
    );
    let disk = vm.drive(Drive::new(&disk, Format::Qcow2));
    vm.add(VirtioBlk::new(disk));
    let (port, [commands, events]) = vm.virtio_serial();
    for (port, path, name) in [(commands, &cmd, "org.dualeai.cmd"), (events, &event, "org.dualeai.event")] {
        let socket = vm.chardev(Socket::listen(SocketPath::new(path).unwrap()));
        vm.add(VirtSerialPort::new(port, socket).name(name));
    }
    let command = console(vm, port).build().unwrap();
    talk(&command, &cmd, &event);
}

fn each(test: impl Fn(&Qemu)) {
    for qemu in qemus() {
        println!("QEMU {}", qemu.version);
        test(&qemu);
    }
}

#[test]
fn sandbox_on_x86_64() {
    each(|qemu| sandbox(qemu, Architecture::X86_64, &guest_dir(), Profile::Standard, MachineKind::Pc));
}

#[test]
fn sandbox_on_x86_64_fast() {
    each(|qemu| sandbox(qemu, Architecture::X86_64, &minimal_guest_dir(), Profile::Fast, MachineKind::Microvm));
}

#[test]
fn sandbox_on_x86_64_fast_with_a_kernel_for_pci() {
    each(|qemu| sandbox(qemu, Architecture::X86_64, &guest_dir(), Profile::Fast, MachineKind::Q35));
}

#[test]
fn sandbox_on_aarch64() {
    each(|qemu| sandbox(qemu, Architecture::Aarch64, &guest_dir(), Profile::Standard, MachineKind::Virt));
}

#[test]
fn microvm_with_its_serial_port() {
    each(|qemu| {
        built(qemu, &minimal_guest_dir(), Microvm::new(), Haswell::new(), |mut vm, _| {
            let stdio = vm.chardev(Stdio::new());
            vm.isa_serial_console(stdio)
        });
    });
}

#[test]
fn q35_with_a_virtconsole() {
    each(|qemu| {
        built(qemu, &guest_dir(), Q35::new(), Haswell::new(), |mut vm, port| {
            let stdio = vm.chardev(Stdio::new());
            vm.virtconsole(port, stdio)
        });
    });
}

#[test]
fn q35_with_its_serial_port() {
    each(|qemu| {
        built(qemu, &minimal_guest_dir(), Q35::new(), Haswell::new(), |mut vm, _| {
            let stdio = vm.chardev(Stdio::new());
            vm.isa_serial_console(stdio)
        });
    });
}

#[test]
fn virt_with_pcie() {
    each(|qemu| {
        built(qemu, &guest_dir(), VirtPcie::new(), CortexA57::new(), |mut vm, _| {
            let stdio = vm.chardev(Stdio::new());
            vm.pl011_console(stdio)
        });
    });
}
