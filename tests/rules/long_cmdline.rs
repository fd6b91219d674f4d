{
    use qemu_dsl::prelude::*;
    let cmdline = format!("systemd.setenv=TOKEN={} root=/dev/vda", "x".repeat(2100));
    let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.kernel(Kernel::new("vmlinuz").cmdline(&cmdline));
    vm.build()?;
    Ok(())
}
