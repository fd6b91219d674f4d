use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let (_, [port]) = vm.virtio_serial();
    let first = vm.chardev(LogFile::new("1.log"));
    let second = vm.chardev(LogFile::new("2.log"));
    vm.add(VirtSerialPort::new(port, first));
    vm.add(VirtSerialPort::new(port, second));
}
