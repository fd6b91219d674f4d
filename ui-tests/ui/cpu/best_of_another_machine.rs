use qemu_dsl::cpu::BestCpu;
use qemu_dsl::prelude::*;

fn main() {
    let cpu = BestCpu::new(&Virt::new(), &Tcg::new());
    let vm = Vm::new(Pc::new(), Tcg::new(), cpu, mib!(256));
}
