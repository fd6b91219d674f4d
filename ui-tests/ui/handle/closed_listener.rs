use qemu_dsl::backend::PassedSocket;
use qemu_dsl::prelude::*;
use std::os::unix::net::UnixListener;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(256));
    let passed = {
        let listener = UnixListener::bind("qmp.sock").unwrap();
        PassedSocket::new(&listener)
    };
    let chardev = vm.chardev(passed);
    vm.qmp_on(chardev);
}
