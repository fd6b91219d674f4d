//! Machine types, accelerators and settings that are chosen at run time, in the types that have what all the choices have.
use qemu_dsl::HostFacts;
use qemu_dsl::accel::{Accelerator, AnyAccel};
use qemu_dsl::cpu::BestCpu;
use qemu_dsl::machine::{AnyMachine, AnyPciMachine, AnyVirtioMachine, MachineType};
use qemu_dsl::prelude::*;

/// The machine type is known, the accelerator is not.
fn on<M: MachineType + qemu_dsl::machine::RunsUnder<AnyAccel>>(machine: M, accel: AnyAccel) {
    let mut vm = Vm::new(machine, accel, BestCpu::new(), mib!(64));
    vm.kernel(Kernel::new("vmlinuz"));
    let foreign = accel.only_for().is_some_and(|arch| !vm_is_for(arch, &vm.build()));
    assert!(!foreign || accel.is_hardware());
}

fn vm_is_for(
    arch: qemu_dsl::accel::Architecture,
    built: &Result<qemu_dsl::QemuCommand, qemu_dsl::vm::BuildErrors>,
) -> bool {
    built.as_ref().is_ok_and(|command| command.to_string().starts_with(arch.qemu_binary()))
}

fn pci(modern: bool, arm: bool) -> AnyPciMachine {
    match (modern, arm) {
        (_, true) => VirtPcie::new().into(),
        (true, _) => Q35::new().versioned(8, 2).into(),
        (false, _) => Pc::new().into(),
    }
}

fn microvm(facts: &HostFacts, serial: bool) -> AnyVirtioMachine {
    let machine = Microvm::new();
    match (facts.tsc_deadline(), serial) {
        (Some(proof), true) => machine.without_timers(proof).into(),
        (Some(proof), false) => machine.without_isa_serial().without_timers(proof).into(),
        (None, true) => machine.into(),
        (None, false) => machine.without_isa_serial().into(),
    }
}

fn main() {
    let facts = HostFacts::example();
    for accel in [AnyAccel::from(Tcg::new()), facts.accelerator()] {
        on(Pc::new(), accel);
        on(Q35::new(), accel);
        on(Virt::new(), accel);
        on(VirtPcie::new(), accel);
        on(RiscvVirt::new(), accel);
        on(Microvm::new(), accel);
        on(Microvm::with_acpi().without_isa_serial(), accel);
        on(AnyMachine::from(Virt::new()), accel);
    }
    for machine in [pci(true, false), pci(false, false), pci(false, true)] {
        let mut vm = Vm::new(machine, Tcg::new(), BestCpu::new(), mib!(64));
        vm.kernel(Kernel::new("vmlinuz"));
        let disk = vm.drive(Drive::new("root.raw", Format::Raw));
        vm.add(Nvme::new(disk, DiskSerial::new("root").unwrap()));
        let iothread = vm.iothread();
        let data = vm.drive(Drive::new("data.raw", Format::Raw));
        vm.add(OnPci(VirtioBlk::new(data).iothread(iothread)));
        let stdio = vm.chardev(Stdio::new());
        vm.uart_console(stdio).build().unwrap();
    }
    let mut vm = Vm::new(microvm(&facts, false), facts.accelerator(), BestCpu::new(), mib!(64));
    vm.kernel(Kernel::new("vmlinuz"));
    let (port, []) = vm.virtio_serial();
    let stdio = vm.chardev(Stdio::new());
    let command = vm.virtconsole(port, stdio).build().unwrap().to_string();
    assert!(command.contains("pit=off") && command.contains("isa-serial=off"), "{command}");
}
