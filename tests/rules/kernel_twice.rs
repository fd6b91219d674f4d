{
    use qemu_dsl::prelude::*;
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.smp(Smp::new(2)?.max(2)?).kernel(Kernel::new("rescue").initrd("rescue.img").cmdline("a=1"));
    vm.smp(Smp::new(4)?).kernel(Kernel::new("vmlinuz").cmdline("b=2"));
    let command = vm.build()?;
    Ok(command)
}
