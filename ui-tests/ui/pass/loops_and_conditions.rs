//! The VM's type does not grow: loops, conditions and vectors of disks work.
use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(256));
    let iothread = vm.iothread();
    let images = vec![String::from("a.qcow2"), String::from("b.qcow2")];
    for (number, image) in images.iter().enumerate() {
        let disk = vm.drive(Drive::new(image, Format::Qcow2).cache(Cache::None));
        let mut device = VirtioBlk::new(disk);
        if number == 0 {
            device = device.iothread(iothread);
        }
        vm.add(device);
    }
    if images.len() > 1 {
        vm.add(VirtioBalloon::new());
    }
    vm.build().unwrap();
}
