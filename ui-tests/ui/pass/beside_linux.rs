//! Kernels that are not Linux, consoles with settings, a log beside the console, options that the library does not have.
use qemu_dsl::prelude::*;

fn main() {
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.kernel(Kernel::new("my-kernel").own_console());
    let stdio = vm.chardev(Stdio::new());
    let command = vm.isa_serial_console(stdio).build().unwrap().to_string();
    assert!(!command.contains("console="), "{command}");

    // Without a console the command line is nobody's but the user's.
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.kernel(Kernel::new("vmlinuz").cmdline("console=tty0 console=ttyS4,115200"));
    vm.build().unwrap();

    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new().extra("pmu", false), mib!(64));
    let log = vm.chardev(LogFile::new("early.log"));
    vm.kernel(Kernel::new("vmlinuz")).uart_log(log);
    let (port, []) = vm.virtio_serial_as(id!("ports"));
    let [console, monitor, ..] = vm.mux_chardev_as(id!("terminal"), Stdio::new());
    vm.qmp_on(monitor);
    let random = vm.rng_backend_as(id!("random"), RngRandom::urandom());
    vm.add_as(id!("rng"), VirtioRng::new(random).extra("max-bytes", 1024u64).extra("period", 1000u32));
    let command = vm.virtconsole(port, console).build().unwrap().to_string();
    assert!(command.contains("rng=random,max-bytes=1024,period=1000"), "{command}");
    assert!(command.ends_with("-append 'console=ttyS0 console=hvc0'"), "{command}");
}
