use qemu_dsl::backend::TemplateMemory;
use qemu_dsl::prelude::*;

fn main() {
    let template = TemplateMemory::shared("/dev/shm/template", mib!(128));
    let vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), (mib!(256), template));
}
