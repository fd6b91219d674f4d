use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let stdio = vm.chardev(Stdio::new());
    let mut vm = vm.isa_serial_console(stdio);
    let (port, []) = vm.virtio_serial();
    let log = vm.chardev(LogFile::new("console.log"));
    let vm = vm.virtconsole(port, log);
}
