//! Machine type and accelerator known only at run time, in two ways: `AnyMachine`, where what compiles works on every machine
//! type, and a `match` on the platform, where each arm has its own types.

use qemu_dsl::accel::Accelerator;
use qemu_dsl::cpu::BestCpu;
use qemu_dsl::facts::{HostAccel, Platform};
use qemu_dsl::machine::AnyMachine;
use qemu_dsl::prelude::*;
use qemu_dsl::vm::BuildErrors;
use qemu_dsl::{HostFacts, QemuCommand};

/// The machine type by its name, as it may come from a configuration file.
fn any(machine: &str, facts: &HostFacts) -> Result<QemuCommand, Box<dyn std::error::Error>> {
    let machine: AnyMachine = match machine {
        "microvm" => Microvm::new().into(),
        "q35" => Q35::new().into(),
        "virt" => Virt::new().into(),
        other => return Err(format!("no machine type `{other}`").into()),
    };
    let accelerator = facts.accelerator();
    let mut vm = Vm::new(machine, accelerator, BestCpu::new(), mib!(128));
    vm.kernel(Kernel::new("vmlinuz"));
    add_disk(&mut vm, "root.qcow2");
    let stdio = vm.chardev(Stdio::new());
    Ok(vm.uart_console(stdio).build()?)
}

/// What a platform alone has is used in its own arm: here microvm without timers.
fn best(facts: &HostFacts) -> Result<QemuCommand, BuildErrors> {
    match (facts.platform(), facts.tsc_deadline()) {
        (Platform::X86_64(HostAccel::Kvm(kvm)), Some(proof)) => {
            let mut vm = Vm::new(Microvm::new().without_timers(proof), kvm, Host::new(), mib!(128));
            vm.kernel(Kernel::new("vmlinuz"));
            add_disk(&mut vm, "root.qcow2");
            vm.build()
        }
        // The machine type is known, the accelerator is a value.
        (Platform::X86_64(_), _) => Vm::new(Pc::new(), facts.accelerator(), BestCpu::new(), mib!(128)).build(),
        (_, _) => {
            let mut vm = Vm::new(VirtPcie::new(), Tcg::new(), CortexA57::new(), mib!(128));
            vm.kernel(Kernel::new("Image"));
            vm.build()
        }
    }
}

/// A helper for every VM: no `Vm<..., ..., ...>` to write.
fn add_disk(vm: &mut impl AnyVm, image: &str) {
    let disk = vm.drive(Drive::new(image, Format::Qcow2));
    vm.add(VirtioBlk::new(disk));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let facts = HostFacts::example();
    println!("hardware: {}", facts.accelerator().is_hardware());
    println!("{}", any("microvm", &facts)?);
    println!("{}", best(&facts)?);
    Ok(())
}
