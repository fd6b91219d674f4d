use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(256));
    let stdio = vm.chardev(Stdio::new());
    let mut vm = vm.pl011_console(stdio);
    let (port, []) = vm.virtio_serial();
    let log = vm.chardev(LogFile::new("console.log"));
    let vm = vm.virtconsole(port, log);
}
