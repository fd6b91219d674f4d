use qemu_dsl::bus::Isa;
use qemu_dsl::prelude::*;

#[derive(QemuOpts)]
#[qemu(device = "isa-debug-exit", bus = Isa)]
struct DebugExit {
    iobase: u16,
}

fn main() {
    let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(256));
    vm.add(DebugExit { iobase: 0xf4 });
}
