use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let (_, [first, second]) = vm.virtio_serial();
    let stdio = vm.chardev(Stdio::new());
    vm.add(VirtSerialPort::new(first, stdio));
    vm.add(VirtSerialPort::new(second, stdio));
}
