use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let _disk = vm.drive(Drive::new("root.raw", Format::Raw).aio(Aio::Native(Cache::Writeback)));
}
