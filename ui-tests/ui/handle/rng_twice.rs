use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let rng = vm.rng_backend(RngRandom::urandom());
    vm.add(VirtioRng::new(rng));
    vm.add(VirtioRng::new(rng));
}
