use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let (port0, []) = vm.virtio_serial();
    let stdio = vm.chardev(Stdio::new());
    vm.add(VirtSerialPort::new(port0, stdio));
}
