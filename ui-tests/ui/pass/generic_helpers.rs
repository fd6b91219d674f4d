//! Helper functions over any VM, and over machine and accelerator where a rule needs them.
use qemu_dsl::accel::Accelerator;
use qemu_dsl::bus::{HasBus, Virtio};
use qemu_dsl::machine::IoEventFd;
use qemu_dsl::prelude::*;

fn any(vm: &mut impl AnyVm) {
    vm.add(VirtioBalloon::new());
}

fn with_iothread<M: IoEventFd<A> + HasBus<Virtio>, A: Accelerator>(vm: &mut Vm<M, A>, images: &[String]) {
    let iothread = vm.iothread();
    for image in images {
        let disk = vm.drive(Drive::new(image, Format::Raw));
        vm.add(VirtioBlk::new(disk).iothread(iothread));
    }
}

fn main() {
    let mut pc = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    any(&mut pc);
    with_iothread(&mut pc, &[String::from("a"), String::from("b")]);
    pc.build().unwrap();
    let mut microvm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(64));
    microvm.kernel(Kernel::new("Image"));
    any(&mut microvm);
    microvm.build().unwrap();
}
