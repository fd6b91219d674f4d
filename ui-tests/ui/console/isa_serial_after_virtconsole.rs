use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(256));
    let (port, []) = vm.virtio_serial();
    let stdio = vm.chardev(Stdio::new());
    let mut vm = vm.virtconsole(port, stdio);
    let log = vm.chardev(LogFile::new("console.log"));
    let vm = vm.isa_serial_console(log);
}
